/** When and where jobs run. The jobs themselves stand in the folders of their data. */
export { JobReports } from './job-reports.store';
export { JobReportsModule } from './job-reports.module';
export { CreateJobReports1764000005000 } from './job-reports.migration';
export { JobsModule } from './jobs.module';
