/** How an authorised payment is captured, and how a payment is cancelled: the statements of each phase. */
import { Injectable } from '@nestjs/common';
import { MoreThanOrEqual } from 'typeorm';
import type { Tenant } from '../../database';
import type { KnownOutcome } from '../../gateway';
import { acquirerCode, CardError, InvalidRequestError } from '../../wire';
import { ChargesRepository } from '../charges/charges.repository';
import { changedDescription } from '../charges/descriptive-fields';
import type { PaymentIntentEntity } from './payment-intent.entity';
import { captureTooLarge, unexpectedState } from './payment-intent.errors';
import { statusesFor } from './payment-intent.states';
import { paymentIntentToWire } from './payment-intent.wire';
import type {
  CancelPaymentIntentParams,
  CapturePaymentIntentParams,
} from './payment-intents.params';
import { PaymentIntentsRepository } from './payment-intents.repository';

/** A reserved capture: what its later phases need, stored as JSON. */
export interface ReservedCapture {
  readonly intent: string;
  readonly charge: string;
  /** The acquirer's name for the payment. */
  readonly reference: string;
  readonly amount: number;
  readonly metadata: PaymentIntentEntity['metadata'];
}

/** A reserved cancellation: what its later phases need, stored as JSON. */
export interface ReservedCancellation {
  readonly intent: string;
  /** Null, as `reference` is, where the payment is not authorised. */
  readonly charge: string | null;
  readonly reference: string | null;
  readonly metadata: PaymentIntentEntity['metadata'];
}

/**
 * Each method belongs inside one transaction. A method that reserves checks all that a client can get
 * wrong: once the acquirer has the order, it is too late to refuse the request.
 */
@Injectable()
export class PaymentIntentCapture {
  constructor(
    private readonly intents: PaymentIntentsRepository,
    private readonly charges: ChargesRepository,
  ) {}

  /** Reserves an authorised payment for its capture, and stores what the request changes. */
  async reserveCapture(
    tenant: Tenant,
    id: string,
    params: CapturePaymentIntentParams,
  ): Promise<ReservedCapture> {
    const { amount_to_capture: amount, metadata } = params;
    const before = metadata === undefined ? undefined : await this.intents.lockOrThrow(tenant, id);
    const patch = changedDescription(params, before);
    const onlyIf = amount === undefined ? {} : { amountCapturable: MoreThanOrEqual(amount) };
    const intent = await this.intents.reserve(tenant, id, 'capture', { patch, onlyIf });
    if (!intent) throw await this.captureRefusal(tenant, id, amount);
    return {
      intent: id,
      ...(await this.authorisedCharge(tenant, intent)),
      amount: amount ?? intent.amountCapturable,
      metadata: intent.metadata,
    };
  }

  /** Stores the outcome of a capture. Returns a decline as the error that the client gets. */
  async settleCapture(
    tenant: Tenant,
    reserved: ReservedCapture,
    outcome: KnownOutcome,
  ): Promise<PaymentIntentEntity | CardError> {
    const { intent: id, charge, amount } = reserved;
    if (outcome.outcome === 'declined') {
      // The payment stays authorised.
      const intent = await this.intents.settle(tenant, id, { status: 'requires_capture' });
      const { code, message } = outcome;
      return new CardError(message, {
        code: acquirerCode(code),
        charge,
        payment_intent: paymentIntentToWire(intent),
      });
    }
    const intent = await this.intents.settle(tenant, id, {
      status: 'succeeded',
      amountCapturable: 0,
      amountReceived: amount,
    });
    await this.charges.update(tenant, charge, {
      captured: true,
      amountCaptured: amount,
      statementDescriptor: intent.statementDescriptor,
      statementDescriptorSuffix: intent.statementDescriptorSuffix,
    });
    return intent;
  }

  /** Reserves a payment for its cancellation. */
  async reserveCancel(tenant: Tenant, id: string): Promise<ReservedCancellation> {
    const intent = await this.intents.reserve(tenant, id, 'cancel');
    if (!intent) throw unexpectedState(await this.intents.getOrThrow(tenant, id), 'cancel');
    const charge =
      intent.amountCapturable > 0
        ? await this.authorisedCharge(tenant, intent)
        : { charge: null, reference: null };
    return { intent: id, ...charge, metadata: intent.metadata };
  }

  /**
   * Stores the outcome of a cancellation.
   * @param outcome of releasing the authorised amount; null where the payment was not authorised
   */
  async settleCancel(
    tenant: Tenant,
    reserved: ReservedCancellation,
    outcome: KnownOutcome | null,
    params: CancelPaymentIntentParams,
  ): Promise<PaymentIntentEntity | InvalidRequestError> {
    const { intent: id, charge } = reserved;
    if (outcome?.outcome === 'declined') {
      const intent = await this.intents.settle(tenant, id, { status: 'requires_capture' });
      const payment_intent = paymentIntentToWire(intent);
      return new InvalidRequestError(outcome.message, {
        code: acquirerCode(outcome.code),
        payment_intent,
      });
    }
    if (charge !== null) await this.charges.update(tenant, charge, { released: true });
    return this.intents.settleCanceled(tenant, id, params.cancellation_reason ?? null);
  }

  private async captureRefusal(tenant: Tenant, id: string, amount: number | undefined) {
    const intent = await this.intents.getOrThrow(tenant, id);
    return amount === undefined || !statusesFor('capture').includes(intent.status)
      ? unexpectedState(intent, 'capture')
      : captureTooLarge(intent, amount);
  }

  /** The charge of an authorised payment, and the acquirer's name for it. */
  private async authorisedCharge(tenant: Tenant, intent: PaymentIntentEntity) {
    const { id, reference } = await this.charges.getExpected(tenant, intent.latestCharge ?? '');
    if (reference === null) return this.charges.unexpected(id);
    return { charge: id, reference };
  }
}
