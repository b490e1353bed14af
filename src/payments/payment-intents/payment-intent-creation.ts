/** How a payment intent is created, with its payment reserved or without. */
import { Injectable } from '@nestjs/common';
import { CustomersService } from '../../customers';
import type { Tenant } from '../../database';
import { Gateways } from '../../gateway';
import { InvalidRequestError, newId, randomBase62 } from '../../wire';
import { newDescription } from '../charges/descriptive-fields';
import type { PaymentMethodEntity } from '../payment-methods/payment-method.entity';
import {
  PaymentMethodsService,
  requireCardType,
  requireUsableBy,
} from '../payment-methods/payment-methods.service';
import { type ReservedPayment, reservedPayment } from './payment-intent-confirmation';
import type { PaymentIntentEntity } from './payment-intent.entity';
import { statusBeforeConfirm } from './payment-intent.states';
import type { CreatePaymentIntentParams } from './payment-intents.params';
import { PaymentIntentsRepository } from './payment-intents.repository';

/** Each method belongs inside one transaction. */
@Injectable()
export class PaymentIntentCreation {
  constructor(
    private readonly intents: PaymentIntentsRepository,
    private readonly methods: PaymentMethodsService,
    private readonly customers: CustomersService,
    private readonly gateways: Gateways,
  ) {}

  /** Stores a new payment intent that is not paid yet. */
  async createUnpaid(
    tenant: Tenant,
    params: CreatePaymentIntentParams,
  ): Promise<PaymentIntentEntity> {
    requireCardType(params.payment_method_types);
    const customer = await this.customers.requireNamed(tenant, params);
    const method = await this.methods.useNamed(tenant, params);
    if (method) requireUsableBy(customer, method, 'payment_method');
    return this.insert(tenant, params, method, statusBeforeConfirm(method?.id ?? null));
  }

  /** Stores a new payment intent that is reserved for its payment. */
  async createReserved(
    tenant: Tenant,
    params: CreatePaymentIntentParams,
  ): Promise<ReservedPayment> {
    this.gateways.requireFor(tenant);
    const payment_method = params.payment_method ?? (await this.defaultSource(tenant, params));
    if (payment_method === undefined) {
      throw new InvalidRequestError(
        'A payment is confirmed with a payment method: send payment_method, or the customer whose ' +
          'default_source pays, or leave out confirm.',
        { code: 'parameter_missing', param: 'payment_method' },
      );
    }
    requireCardType(params.payment_method_types);
    const customer = await this.customers.requireNamed(tenant, params);
    const method = await this.methods.use(tenant, payment_method, 'payment_method');
    requireUsableBy(customer, method, 'payment_method');
    const intent = await this.insert(tenant, params, method, 'processing');
    return reservedPayment(intent, method, params);
  }

  /**
   * The payment method of a new payment whose request names none, as the SDK documents
   * `payment_method`. Only `create` takes it; `confirm` does not.
   */
  private async defaultSource(
    tenant: Tenant,
    { customer }: CreatePaymentIntentParams,
  ): Promise<string | undefined> {
    if (customer === undefined) return undefined;
    return (await this.customers.require(tenant, customer)).defaultSource ?? undefined;
  }

  private insert(
    tenant: Tenant,
    params: CreatePaymentIntentParams,
    method: PaymentMethodEntity | null,
    status: PaymentIntentEntity['status'],
  ): Promise<PaymentIntentEntity> {
    const automatic = params.automatic_payment_methods;
    return this.intents.insert(tenant, {
      id: newId('pi'),
      amount: params.amount,
      amountCapturable: 0,
      amountReceived: 0,
      currency: params.currency,
      status,
      captureMethod: params.capture_method ?? 'automatic_async',
      confirmationMethod: params.confirmation_method ?? 'automatic',
      customer: params.customer ?? null,
      paymentMethod: method?.id ?? null,
      latestCharge: null,
      lastPaymentError: null,
      nextAction: null,
      canceledAt: null,
      cancellationReason: null,
      secret: randomBase62(25),
      paymentMethodTypes: params.payment_method_types ?? ['card'],
      automaticPaymentMethods: automatic
        ? { enabled: automatic.enabled, allow_redirects: automatic.allow_redirects ?? 'always' }
        : null,
      setupFutureUsage: params.setup_future_usage ?? null,
      ...newDescription(params),
    });
  }
}
