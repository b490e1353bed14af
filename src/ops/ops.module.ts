/** The module of health. */
import { Module } from '@nestjs/common';
import { JobReportsModule } from '../jobs';
import { HealthController } from './health.controller';
import { JobHealthService } from './job-health.service';

@Module({
  imports: [JobReportsModule],
  controllers: [HealthController],
  providers: [JobHealthService],
})
export class OpsModule {}
