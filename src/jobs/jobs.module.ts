/** Provides the queue, its worker and the schedules in a process that runs jobs. */
import { BullModule } from '@nestjs/bullmq';
import { type DynamicModule, Module } from '@nestjs/common';
import { Settings } from '../runtime';
import { JobReportsModule } from './job-reports.module';
import { JOBS_QUEUE, JobsQueue, queueOptions } from './jobs-backend';
import { JobsProcessor } from './jobs.processor';
import { JobsSchedule } from './jobs-schedule';
import { ReportJob } from './report.job';

/** Jobs on a schedule. */
@Module({})
export class JobsModule {
  /** The queue, its worker and the schedules: for a process that runs jobs. */
  static running(): DynamicModule {
    BullModule.queueClass = JobsQueue;
    return {
      module: JobsModule,
      imports: [
        JobReportsModule,
        BullModule.forRootAsync({
          inject: [Settings],
          useFactory: queueOptions,
          // The worker starts once the application is complete.
          extraOptions: { manualRegistration: true },
        }),
        BullModule.registerQueue({ name: JOBS_QUEUE }),
      ],
      providers: [ReportJob, JobsProcessor, JobsSchedule],
    };
  }
}
