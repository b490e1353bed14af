import { Injectable } from '@nestjs/common';
import { In } from 'typeorm';
import { CustomersService, orderShippingOf } from '../../customers';
import type { Tenant } from '../../database';
import { type ChargeOrder, Gateways, type KnownOutcome } from '../../gateway';
import { CardError, InvalidRequestError, mergeMetadata, newId, randomBase62 } from '../../wire';
import { chargeOutcome } from '../charges/charge.states';
import { ChargesRepository } from '../charges/charges.repository';
import * as answers from './payment-intent.errors';
import type { PaymentIntentEntity } from './payment-intent.entity';
import { afterCharge, statusBeforeConfirm, statusesFor } from './payment-intent.states';
import { PaymentIntentsRepository } from './payment-intents.repository';
import type {
  ConfirmPaymentIntentParams,
  CreatePaymentIntentParams,
  UpdatePaymentIntentParams,
} from './payment-intents.params';
import type { CardFace, PaymentMethodEntity } from '../payment-methods/payment-method.entity';
import {
  type PaymentMethodObject,
  paymentMethodToWire,
} from '../payment-methods/payment-method.wire';
import { PaymentMethodsService, requireUsableBy } from '../payment-methods/payment-methods.service';

/** A payment that was reserved: all that the phases after it need, as JSON. */
export interface ReservedPayment {
  readonly intent: string;
  /** Id of the charge that will say what came of it. */
  readonly charge: string;
  readonly order: Omit<ChargeOrder, 'tenant'>;
  readonly card: CardFace;
  readonly method: PaymentMethodObject;
  /** Whether the buyer is there to authenticate. */
  readonly buyerPresent: boolean;
  readonly returnUrl: string | null;
}

/** What a request may change only before the payment is confirmed. */
const PAYMENT_FIELDS = [
  'amount',
  'currency',
  'customer',
  'payment_method',
  'payment_method_types',
  'capture_method',
  'setup_future_usage',
] as const;

/** What another payment method makes of a payment: nobody has tried to pay with that one yet. */
const AGAIN = { status: 'requires_confirmation' as const, nextAction: null };

/**
 * The steps from the order to the charge, each to be called inside one transaction. The step that
 * reserves takes the payment by one conditional UPDATE; the step that settles finds it still taken.
 */
@Injectable()
export class PaymentIntentConfirmation {
  constructor(
    private readonly intents: PaymentIntentsRepository,
    private readonly charges: ChargesRepository,
    private readonly methods: PaymentMethodsService,
    private readonly customers: CustomersService,
    private readonly gateways: Gateways,
  ) {}

  /**
   * Stores a new payment intent and finds its payment method.
   * @param paidWith what it is being paid with already; undefined where nobody tries to pay it yet
   */
  async open(tenant: Tenant, request: CreatePaymentIntentParams, paidWith?: string) {
    requireCardType(request.payment_method_types);
    const { customer = null } = request;
    if (customer !== null) await this.customers.require(tenant, customer);
    const method = await this.named(tenant, paidWith ?? request.payment_method);
    if (method) requireUsableBy(customer, method, 'payment_method');
    const automatic = request.automatic_payment_methods;
    const intent = await this.intents.insert(tenant, {
      id: newId('pi'),
      amount: request.amount,
      amountCapturable: 0,
      amountReceived: 0,
      currency: request.currency,
      status: paidWith === undefined ? statusBeforeConfirm(method?.id ?? null) : 'processing',
      captureMethod: request.capture_method ?? 'automatic_async',
      confirmationMethod: request.confirmation_method ?? 'automatic',
      customer,
      paymentMethod: method?.id ?? null,
      latestCharge: null,
      lastPaymentError: null,
      nextAction: null,
      canceledAt: null,
      cancellationReason: null,
      secret: randomBase62(25),
      paymentMethodTypes: request.payment_method_types ?? ['card'],
      automaticPaymentMethods: automatic
        ? { enabled: automatic.enabled, allow_redirects: automatic.allow_redirects ?? 'always' }
        : null,
      setupFutureUsage: request.setup_future_usage ?? null,
      description: request.description ?? null,
      metadata: mergeMetadata({}, request.metadata),
      receiptEmail: request.receipt_email ?? null,
      shipping: orderShippingOf(request.shipping) ?? null,
      statementDescriptor: request.statement_descriptor ?? null,
      statementDescriptorSuffix: request.statement_descriptor_suffix ?? null,
    });
    return { intent, method };
  }

  /** Stores a new payment intent that is being paid already. */
  async openAndReserve(
    tenant: Tenant,
    request: CreatePaymentIntentParams,
  ): Promise<ReservedPayment> {
    this.gateways.of(tenant);
    const payment_method = request.payment_method ?? (await this.defaultSource(tenant, request));
    if (payment_method === undefined) {
      throw new InvalidRequestError(
        'A payment is confirmed with a payment method: send payment_method, or the customer whose ' +
          'default_source pays, or leave out confirm.',
        { code: 'parameter_missing', param: 'payment_method' },
      );
    }
    const { intent, method } = await this.open(tenant, request, payment_method);
    if (!method) throw answers.missingPaymentMethod(intent);
    return reservedPayment(intent, method, request);
  }

  /** Takes a payment intent for payment: of two requests that confirm it, one finds it taken. */
  async reserve(
    tenant: Tenant,
    id: string,
    request: ConfirmPaymentIntentParams,
  ): Promise<ReservedPayment> {
    requireCardType(request.payment_method_types);
    const before = await this.intents.require(tenant, id);
    this.gateways.of(tenant);
    const named = await this.named(tenant, request.payment_method);
    const patch = {
      status: 'processing' as const,
      paymentMethod: named?.id,
      captureMethod: request.capture_method,
      paymentMethodTypes: request.payment_method_types,
      receiptEmail: request.receipt_email,
      setupFutureUsage: request.setup_future_usage,
      shipping: orderShippingOf(request.shipping),
      lastPaymentError: null,
      nextAction: null,
    };
    const onlyIf = { status: In([...statusesFor('confirm')]) };
    const intent = await this.intents.update(tenant, id, patch, onlyIf);
    if (!intent) throw answers.unexpectedState(await this.intents.require(tenant, id), 'confirm');
    if (intent.paymentMethod === null) throw answers.missingPaymentMethod(before);
    const method = named ?? (await this.methods.require(tenant, intent.paymentMethod));
    requireUsableBy(intent.customer, method, 'payment_method');
    return reservedPayment(intent, method, request);
  }

  /** Writes down what the acquirer answered. A decline is returned as the error it is answered with. */
  async settle(
    tenant: Tenant,
    payment: ReservedPayment,
    outcome: KnownOutcome,
  ): Promise<PaymentIntentEntity | CardError> {
    const { buyerPresent, order } = payment;
    const result = afterCharge({ ...order, buyerPresent }, outcome);
    // Asking the buyer to authenticate is not an attempt to take the money yet.
    const charged = result.status !== 'requires_action';
    const declined = result.status === 'requires_payment_method' && outcome.outcome === 'declined';
    const failure = declined ? answers.failureOf(outcome, payment.charge, payment.method) : null;
    const intent = await this.intents.settle(tenant, payment.intent, {
      ...result,
      latestCharge: charged ? payment.charge : undefined,
      lastPaymentError: failure,
      paymentMethod: declined ? null : undefined,
      nextAction: charged ? null : answers.authenticationOf(payment.returnUrl),
    });
    if (charged) await this.recordCharge(tenant, intent, payment, outcome);
    if (failure) return answers.declineOf(intent, failure);
    if (charged && intent.setupFutureUsage && intent.customer) {
      await this.methods.keepFor(tenant, intent.customer, payment.method.id);
    }
    return intent;
  }

  /** Changes what a request names. Who pays what, and how, is fixed once it was confirmed. */
  async change(
    tenant: Tenant,
    id: string,
    request: UpdatePaymentIntentParams,
  ): Promise<PaymentIntentEntity> {
    const intent = await this.intents.lock(tenant, id);
    const fields = PAYMENT_FIELDS.filter((field) => request[field] !== undefined);
    if (fields.length > 0 && !statusesFor('change').includes(intent.status)) {
      throw answers.unexpectedState(intent, 'change', `change the ${fields.join(', ')} of`);
    }
    requireCardType(request.payment_method_types);
    if (request.customer !== undefined) await this.customers.require(tenant, request.customer);
    const method = await this.methodAfter(tenant, intent, request);
    const changed = await this.intents.update(tenant, id, {
      amount: request.amount,
      currency: request.currency,
      customer: request.customer,
      paymentMethod: method?.id,
      ...(fields.includes('payment_method') ? AGAIN : {}),
      // "It will be cleared if the PaymentIntent is later updated for any reason."
      lastPaymentError: null,
      captureMethod: request.capture_method,
      paymentMethodTypes: request.payment_method_types,
      setupFutureUsage: request.setup_future_usage,
      description: request.description,
      metadata: mergeMetadata(intent.metadata, request.metadata),
      receiptEmail: request.receipt_email,
      shipping: orderShippingOf(request.shipping),
      statementDescriptor: request.statement_descriptor,
      statementDescriptorSuffix: request.statement_descriptor_suffix,
    });
    return changed ?? this.intents.lost(id);
  }

  /** What came of an attempt to take the money, as a charge of its own. */
  private recordCharge(
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
      description: intent.description,
      metadata: intent.metadata,
      receiptEmail: intent.receiptEmail,
      shipping: intent.shipping,
      statementDescriptor: intent.statementDescriptor,
      statementDescriptorSuffix: intent.statementDescriptorSuffix,
    });
  }

  /** The payment method an update leaves behind, checked against the customer it leaves behind. */
  private async methodAfter(
    tenant: Tenant,
    intent: PaymentIntentEntity,
    request: UpdatePaymentIntentParams,
  ): Promise<PaymentMethodEntity | null> {
    const customer = request.customer ?? intent.customer;
    const current = request.customer === undefined ? null : intent.paymentMethod;
    const method =
      (await this.named(tenant, request.payment_method)) ??
      (current === null ? null : await this.methods.require(tenant, current));
    if (method) requireUsableBy(customer, method, 'payment_method');
    return method;
  }

  /**
   * What pays for a payment that is created with `confirm` and names nothing, as the SDK documents
   * `payment_method`. Confirming a payment that is there takes none.
   */
  private async defaultSource(
    tenant: Tenant,
    { customer }: CreatePaymentIntentParams,
  ): Promise<string | undefined> {
    if (customer === undefined) return undefined;
    return (await this.customers.require(tenant, customer)).defaultSource ?? undefined;
  }

  private async named(
    tenant: Tenant,
    idOrToken: string | undefined,
  ): Promise<PaymentMethodEntity | null> {
    if (idOrToken === undefined) return null;
    return this.methods.use(tenant, idOrToken, 'payment_method');
  }
}

/** What is recorded of a payment that was reserved. */
function reservedPayment(
  intent: PaymentIntentEntity,
  method: PaymentMethodEntity,
  request: { off_session?: boolean; return_url?: string },
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
    buyerPresent: request.off_session !== true,
    returnUrl: request.return_url ?? null,
  };
}

function requireCardType(types: readonly string[] | undefined): void {
  if (types === undefined || types.includes('card')) return;
  throw new InvalidRequestError(
    'This server takes cards alone: payment_method_types must name card.',
    { code: 'payment_intent_invalid_parameter', param: 'payment_method_types' },
  );
}
