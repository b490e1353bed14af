/** Schedules of the jobs; the jobs themselves stand with what they look after. */
export { JobsModule } from './jobs.module';
