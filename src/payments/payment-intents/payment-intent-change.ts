/** How a payment intent is changed before it is paid, and its description after that. */
import { Injectable } from '@nestjs/common';
import { CustomersService } from '../../customers';
import type { Tenant } from '../../database';
import { changedDescription } from '../charges/descriptive-fields';
import type { PaymentMethodEntity } from '../payment-methods/payment-method.entity';
import {
  PaymentMethodsService,
  requireCardType,
  requireUsableBy,
} from '../payment-methods/payment-methods.service';
import type { PaymentIntentEntity } from './payment-intent.entity';
import { unexpectedState } from './payment-intent.errors';
import { statusesFor } from './payment-intent.states';
import type { UpdatePaymentIntentParams } from './payment-intents.params';
import { PaymentIntentsRepository } from './payment-intents.repository';

/** The parameters that a request may change only before the payment is confirmed. */
const PAYMENT_FIELDS = [
  'amount',
  'currency',
  'customer',
  'payment_method',
  'payment_method_types',
  'capture_method',
  'setup_future_usage',
] as const;

/** Its method belongs inside one transaction. */
@Injectable()
export class PaymentIntentChange {
  constructor(
    private readonly intents: PaymentIntentsRepository,
    private readonly methods: PaymentMethodsService,
    private readonly customers: CustomersService,
  ) {}

  /** Changes what a request names. Once a payment is confirmed, its `PAYMENT_FIELDS` are fixed. */
  async change(
    tenant: Tenant,
    id: string,
    params: UpdatePaymentIntentParams,
  ): Promise<PaymentIntentEntity> {
    const intent = await this.intents.lockOrThrow(tenant, id);
    const fields = PAYMENT_FIELDS.filter((field) => params[field] !== undefined);
    if (fields.length > 0 && !statusesFor('change').includes(intent.status)) {
      throw unexpectedState(intent, 'change', `change the ${fields.join(', ')} of`);
    }
    requireCardType(params.payment_method_types);
    await this.customers.requireNamed(tenant, params);
    const method = await this.methodAfterChange(tenant, intent, params);
    return this.intents.updateExpected(tenant, id, {
      amount: params.amount,
      currency: params.currency,
      customer: params.customer,
      paymentMethod: method?.id,
      // Nobody has tried to pay with the new payment method yet.
      ...(fields.includes('payment_method')
        ? { status: 'requires_confirmation', nextAction: null }
        : {}),
      // "It will be cleared if the PaymentIntent is later updated for any reason."
      lastPaymentError: null,
      captureMethod: params.capture_method,
      paymentMethodTypes: params.payment_method_types,
      setupFutureUsage: params.setup_future_usage,
      ...changedDescription(params, intent),
    });
  }

  /** The payment method after an update, checked against the customer after it. Null: no change. */
  private async methodAfterChange(
    tenant: Tenant,
    intent: PaymentIntentEntity,
    params: UpdatePaymentIntentParams,
  ): Promise<PaymentMethodEntity | null> {
    const customer = params.customer ?? intent.customer;
    const current = params.customer === undefined ? null : intent.paymentMethod;
    const method =
      (await this.methods.useNamed(tenant, params)) ??
      (current === null ? null : await this.methods.getExpected(tenant, current));
    if (method) requireUsableBy(customer, method, 'payment_method');
    return method;
  }
}
