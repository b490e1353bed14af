/** How a payment intent is created, changed and paid: the statements of each phase. */
import { Injectable } from '@nestjs/common';
import { CustomersService } from '../../customers';
import type { Tenant } from '../../database';
import { type ChargeOrder, Gateways, type KnownOutcome } from '../../gateway';
import { CardError, InvalidRequestError, newId, randomBase62 } from '../../wire';
import { chargeOutcome } from '../charges/charge.states';
import { ChargesRepository } from '../charges/charges.repository';
import {
  changedDescription,
  descriptiveFields,
  newDescription,
} from '../charges/descriptive-fields';
import type { CardFace, PaymentMethodEntity } from '../payment-methods/payment-method.entity';
import {
  type PaymentMethodObject,
  paymentMethodToWire,
} from '../payment-methods/payment-method.wire';
import { PaymentMethodsService, requireUsableBy } from '../payment-methods/payment-methods.service';
import type { NextAction, PaymentIntentEntity } from './payment-intent.entity';
import {
  declineError,
  missingPaymentMethod,
  paymentFailure,
  unexpectedState,
} from './payment-intent.errors';
import { afterCharge, statusBeforeConfirm, statusesFor } from './payment-intent.states';
import type {
  ConfirmPaymentIntentParams,
  CreatePaymentIntentParams,
  UpdatePaymentIntentParams,
} from './payment-intents.params';
import { PaymentIntentsRepository } from './payment-intents.repository';

/** A reserved payment: what its later phases need, stored as JSON. */
export interface ReservedPayment {
  readonly intent: string;
  /** Id of the charge that will record the outcome. */
  readonly charge: string;
  readonly order: Omit<ChargeOrder, 'tenant'>;
  readonly card: CardFace;
  readonly method: PaymentMethodObject;
  /** Whether the buyer is there to authenticate. */
  readonly buyerPresent: boolean;
  readonly returnUrl: string | null;
}

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

/** Each method belongs inside one transaction. */
@Injectable()
export class PaymentIntentConfirmation {
  constructor(
    private readonly intents: PaymentIntentsRepository,
    private readonly charges: ChargesRepository,
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
    const customer = await this.customerOf(tenant, params);
    const method = await this.methodNamedBy(tenant, params);
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
    const customer = await this.customerOf(tenant, params);
    const method = await this.methods.use(tenant, payment_method, 'payment_method');
    requireUsableBy(customer, method, 'payment_method');
    const intent = await this.insert(tenant, params, method, 'processing');
    return reservedPayment(intent, method, params);
  }

  /** Reserves a payment intent for its payment, and stores what the request changes. */
  async reserve(
    tenant: Tenant,
    id: string,
    params: ConfirmPaymentIntentParams,
  ): Promise<ReservedPayment> {
    requireCardType(params.payment_method_types);
    const before = await this.intents.getOrThrow(tenant, id);
    this.gateways.requireFor(tenant);
    const named = await this.methodNamedBy(tenant, params);
    const patch = {
      paymentMethod: named?.id,
      captureMethod: params.capture_method,
      paymentMethodTypes: params.payment_method_types,
      setupFutureUsage: params.setup_future_usage,
      ...changedDescription(params),
      lastPaymentError: null,
      nextAction: null,
    };
    const intent = await this.intents.reserve(tenant, id, 'confirm', { patch });
    if (!intent) throw unexpectedState(await this.intents.getOrThrow(tenant, id), 'confirm');
    if (intent.paymentMethod === null) throw missingPaymentMethod(before);
    const method = named ?? (await this.methods.getExpected(tenant, intent.paymentMethod));
    requireUsableBy(intent.customer, method, 'payment_method');
    return reservedPayment(intent, method, params);
  }

  /** Stores the outcome of the charge. Returns a decline as the error that the client gets. */
  async settle(
    tenant: Tenant,
    payment: ReservedPayment,
    outcome: KnownOutcome,
  ): Promise<PaymentIntentEntity | CardError> {
    const { buyerPresent, order } = payment;
    const result = afterCharge({ ...order, buyerPresent }, outcome);
    // While the buyer has to authenticate, nobody has tried to take the money yet: there is no charge.
    const charged = result.status !== 'requires_action';
    const declined = result.status === 'requires_payment_method' && outcome.outcome === 'declined';
    const failure = declined ? paymentFailure(outcome, payment) : null;
    const intent = await this.intents.settle(tenant, payment.intent, {
      ...result,
      latestCharge: charged ? payment.charge : undefined,
      lastPaymentError: failure,
      paymentMethod: declined ? null : undefined,
      nextAction: charged ? null : authenticationFor(payment.returnUrl),
    });
    if (charged) await this.insertCharge(tenant, intent, payment, outcome);
    if (failure) return declineError(intent, failure);
    if (charged && intent.setupFutureUsage && intent.customer) {
      await this.methods.attachIfFree(tenant, intent.customer, payment.method.id);
    }
    return intent;
  }

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
    await this.customerOf(tenant, params);
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

  /** Records an attempt to take the money as a charge. */
  private insertCharge(
    tenant: Tenant,
    intent: PaymentIntentEntity,
    payment: ReservedPayment,
    outcome: KnownOutcome,
  ) {
    return this.charges.insert(tenant, {
      ...chargeOutcome(payment.order, outcome),
      id: payment.charge,
      amount: intent.amount,
      amountRefunded: 0,
      currency: intent.currency,
      released: false,
      customer: intent.customer,
      paymentIntent: intent.id,
      paymentMethod: payment.method.id,
      card: payment.card,
      ...descriptiveFields.copy(intent),
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
      (await this.methodNamedBy(tenant, params)) ??
      (current === null ? null : await this.methods.getExpected(tenant, current));
    if (method) requireUsableBy(customer, method, 'payment_method');
    return method;
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

  /** @throws ResourceMissingError where the request names a customer that is not there */
  private async customerOf(
    tenant: Tenant,
    { customer }: { readonly customer?: string },
  ): Promise<string | null> {
    if (customer === undefined) return null;
    return (await this.customers.require(tenant, customer)).id;
  }

  private async methodNamedBy(
    tenant: Tenant,
    { payment_method }: { readonly payment_method?: string },
  ): Promise<PaymentMethodEntity | null> {
    if (payment_method === undefined) return null;
    return this.methods.use(tenant, payment_method, 'payment_method');
  }
}

function reservedPayment(
  intent: PaymentIntentEntity,
  method: PaymentMethodEntity,
  params: { readonly off_session?: boolean; readonly return_url?: string },
): ReservedPayment {
  return {
    intent: intent.id,
    charge: newId('ch'),
    order: {
      amount: intent.amount,
      currency: intent.currency,
      card: method.token,
      capture: intent.captureMethod !== 'manual',
      metadata: intent.metadata,
    },
    card: method.card,
    method: paymentMethodToWire(method),
    buyerPresent: params.off_session !== true,
    returnUrl: params.return_url ?? null,
  };
}

/**
 * What the buyer has to do to authenticate. The sandbox has no bank to send them to: a redirect leads
 * straight back to the page of the merchant.
 */
function authenticationFor(returnUrl: string | null): NextAction {
  return returnUrl === null
    ? { type: 'use_stripe_sdk', use_stripe_sdk: { type: 'three_d_secure_redirect' } }
    : { type: 'redirect_to_url', redirect_to_url: { return_url: returnUrl, url: returnUrl } };
}

function requireCardType(types: readonly string[] | undefined): void {
  if (types === undefined || types.includes('card')) return;
  throw new InvalidRequestError(
    'This server takes cards alone: payment_method_types must name card.',
    { code: 'payment_intent_invalid_parameter', param: 'payment_method_types' },
  );
}
