import { Module } from '@nestjs/common';
import { HealthController } from './health.controller';

/** What an operator looks at. */
@Module({ controllers: [HealthController] })
export class OpsModule {}
