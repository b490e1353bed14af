import { Module } from '@nestjs/common';
import { JobsSchedule } from './jobs.schedule';

/** What runs without anybody asking for it. */
@Module({ providers: [JobsSchedule] })
export class JobsModule {}
