/** What an operator looks at: health. */
export { OpsModule } from './ops.module';
