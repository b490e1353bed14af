/** Wires up payment intents, charges and payment methods, and provides the port that customers need. */
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { CustomerPaymentMethods, CustomersModule } from '../customers';
import { GatewayModule } from '../gateway';
import { WireModule } from '../wire';
import { ChargeEntity } from './charges/charge.entity';
import { ChargesController } from './charges/charges.controller';
import { ChargesRepository } from './charges/charges.repository';
import { ChargesService } from './charges/charges.service';
import { PaymentIntentEntity } from './payment-intents/payment-intent.entity';
import { PaymentIntentCapture } from './payment-intents/payment-intent-capture';
import { PaymentIntentChange } from './payment-intents/payment-intent-change';
import { PaymentIntentConfirmation } from './payment-intents/payment-intent-confirmation';
import { PaymentIntentCreation } from './payment-intents/payment-intent-creation';
import { PaymentIntentsController } from './payment-intents/payment-intents.controller';
import { PaymentIntentsRepository } from './payment-intents/payment-intents.repository';
import { PaymentIntentsService } from './payment-intents/payment-intents.service';
import { PaymentMethodEntity } from './payment-methods/payment-method.entity';
import { PaymentMethodsController } from './payment-methods/payment-methods.controller';
import { PaymentMethodsRepository } from './payment-methods/payment-methods.repository';
import { PaymentMethodsService } from './payment-methods/payment-methods.service';
import { RefundableCharges } from './payment-intents/refundable-charges.service';

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
    PaymentIntentCapture,
    PaymentIntentCreation,
    PaymentIntentChange,
    PaymentIntentConfirmation,
    PaymentIntentsRepository,
    PaymentIntentsService,
    PaymentMethodsRepository,
    PaymentMethodsService,
    RefundableCharges,
    { provide: CustomerPaymentMethods, useExisting: PaymentMethodsService },
  ],
  exports: [RefundableCharges],
})
export class PaymentsModule {}
