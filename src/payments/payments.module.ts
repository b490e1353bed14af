import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { CustomersModule } from '../customers';
import { GatewayModule } from '../gateway';
import { WireModule } from '../wire';
import { ChargeEntity } from './charge.entity';
import { ChargesController } from './charges.controller';
import { ChargesRepository } from './charges.repository';
import { ChargesService } from './charges.service';
import { PaymentIntentEntity } from './payment-intent.entity';
import { PaymentIntentHolds } from './payment-intent.holds';
import { PaymentIntentSteps } from './payment-intent.steps';
import { PaymentIntentsController } from './payment-intents.controller';
import { PaymentIntentsRepository } from './payment-intents.repository';
import { PaymentIntentsService } from './payment-intents.service';
import { PaymentMethodEntity } from './payment-method.entity';
import { PaymentMethodsController } from './payment-methods.controller';
import { PaymentMethodsRepository } from './payment-methods.repository';
import { PaymentMethodsService } from './payment-methods.service';
import { RefundableCharges } from './refundable-charges.service';

/** Payment intents, charges and payment methods. */
@Module({
  imports: [
    TypeOrmModule.forFeature([ChargeEntity, PaymentIntentEntity, PaymentMethodEntity]),
    CustomersModule,
    GatewayModule,
    WireModule,
  ],
  controllers: [ChargesController, PaymentIntentsController, PaymentMethodsController],
  providers: [
    ChargesRepository,
    ChargesService,
    PaymentIntentHolds,
    PaymentIntentSteps,
    PaymentIntentsRepository,
    PaymentIntentsService,
    PaymentMethodsRepository,
    PaymentMethodsService,
    RefundableCharges,
  ],
  exports: [RefundableCharges],
})
export class PaymentsModule {}
