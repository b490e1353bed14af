/** How a payment intent is paid: the statements of the first and the last phase. */
import { Injectable } from '@nestjs/common';
import type { Tenant } from '../../database';
import { type ChargeOrder, Gateways, type KnownOutcome } from '../../gateway';
import { CardError, newId } from '../../wire';
import { chargeOutcome } from '../charges/charge.states';
import { ChargesRepository } from '../charges/charges.repository';
import { changedDescription, descriptiveFields } from '../charges/descriptive-fields';
import type { CardFace, PaymentMethodEntity } from '../payment-methods/payment-method.entity';
import {
  type PaymentMethodObject,
  paymentMethodToWire,
} from '../payment-methods/payment-method.wire';
import {
  PaymentMethodsService,
  requireCardType,
  requireUsableBy,
} from '../payment-methods/payment-methods.service';
import type { NextAction, PaymentIntentEntity } from './payment-intent.entity';
import {
  declineError,
  missingPaymentMethod,
  paymentFailure,
  unexpectedState,
} from './payment-intent.errors';
import { afterCharge } from './payment-intent.states';
import type { ConfirmPaymentIntentParams } from './payment-intents.params';
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

/** Each method belongs inside one transaction. */
@Injectable()
export class PaymentIntentConfirmation {
  constructor(
    private readonly intents: PaymentIntentsRepository,
    private readonly charges: ChargesRepository,
    private readonly methods: PaymentMethodsService,
    private readonly gateways: Gateways,
  ) {}

  /** Reserves a payment intent for its payment, and stores what the request changes. */
  async reserve(
    tenant: Tenant,
    id: string,
    params: ConfirmPaymentIntentParams,
  ): Promise<ReservedPayment> {
    requireCardType(params.payment_method_types);
    const before = await this.intents.getOrThrow(tenant, id);
    this.gateways.requireFor(tenant);
    const named = await this.methods.useNamed(tenant, params);
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
}

/** What the later phases of a payment need. */
export function reservedPayment(
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
