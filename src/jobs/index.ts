/** When and where jobs run. The jobs themselves stand in the folders of their data. */
export { JobReports } from './job-reports.store';
export { JobReportsModule } from './job-reports.module';
export { JobsModule } from './jobs.module';
