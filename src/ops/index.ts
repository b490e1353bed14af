/** Health, for operators. */
export { OpsModule } from './ops.module';
