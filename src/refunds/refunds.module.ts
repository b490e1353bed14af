/** Wires up refunds. */
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { GatewayModule } from '../gateway';
import { PaymentsModule } from '../payments';
import { WireModule } from '../wire';
import { RefundEntity } from './refund.entity';
import { RefundsController } from './refunds.controller';
import { RefundsRepository } from './refunds.repository';
import { RefundsService } from './refunds.service';

@Module({
  imports: [TypeOrmModule.forFeature([RefundEntity]), GatewayModule, PaymentsModule, WireModule],
  controllers: [RefundsController],
  providers: [RefundsRepository, RefundsService],
})
export class RefundsModule {}
