import { Module } from '@nestjs/common';
import { JobReportsModule } from '../jobs';
import { HealthController } from './health.controller';
import { HealthOfJobs } from './jobs.health';

/** What an operator looks at. */
@Module({
  imports: [JobReportsModule],
  controllers: [HealthController],
  providers: [HealthOfJobs],
})
export class OpsModule {}
