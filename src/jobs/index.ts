/** When and where the jobs run; the jobs themselves stand with what they look after. */
export { JobReports, type JobReport } from './job-reports.store';
export { JobReportsModule } from './job-reports.module';
export { CreateJobReports1764000005000 } from './job-reports.migration';
export { JobsModule } from './jobs.module';
