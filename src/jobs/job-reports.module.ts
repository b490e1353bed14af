/** Provides the reports of the jobs. */
import { Module } from '@nestjs/common';
import { JobReports } from './job-reports.store';

/** The jobs' reports, for those who write them and those who read them. */
@Module({ providers: [JobReports], exports: [JobReports] })
export class JobReportsModule {}
