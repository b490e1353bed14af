import { Injectable } from '@nestjs/common';
import { In, MoreThanOrEqual } from 'typeorm';
import type { Tenant } from '../../database';
import type { KnownOutcome } from '../../gateway';
import { CardError, InvalidRequestError, mergeMetadata } from '../../wire';
import { ChargesRepository } from '../charges/charges.repository';
import * as answers from './payment-intent.errors';
import type { PaymentIntentEntity } from './payment-intent.entity';
import { statusesFor } from './payment-intent.states';
import { paymentIntentToWire } from './payment-intent.wire';
import { PaymentIntentsRepository } from './payment-intents.repository';
import type {
  CancelPaymentIntentParams,
  CapturePaymentIntentParams,
} from './payment-intents.params';

/** What an acquirer holds for a payment whose capture was reserved, as JSON. */
export interface ReservedCapture {
  readonly intent: string;
  readonly charge: string;
  /** The acquirer's name for what it holds. */
  readonly reference: string;
  readonly amount: number;
  readonly metadata: PaymentIntentEntity['metadata'];
}

/** A payment whose cancellation was reserved; the acquirer may hold nothing for it. As JSON. */
export interface ReservedCancellation {
  readonly intent: string;
  readonly charge: string | null;
  readonly reference: string | null;
  readonly metadata: PaymentIntentEntity['metadata'];
}

/**
 * The steps that capture or release what an acquirer holds for a payment, each to be called inside one
 * transaction. Nothing that the client can get wrong may first show once the acquirer was asked: a
 * step that reserves checks it all.
 */
@Injectable()
export class PaymentIntentCapture {
  constructor(
    private readonly intents: PaymentIntentsRepository,
    private readonly charges: ChargesRepository,
  ) {}

  /** Takes an authorised payment for its capture, and keeps what the request says of it. */
  async reserveCapture(
    tenant: Tenant,
    id: string,
    request: CapturePaymentIntentParams,
  ): Promise<ReservedCapture> {
    const { amount_to_capture: amount, metadata } = request;
    const before = metadata === undefined ? undefined : await this.intents.lock(tenant, id);
    const patch = {
      status: 'processing' as const,
      metadata: before && mergeMetadata(before.metadata, metadata),
      statementDescriptor: request.statement_descriptor,
      statementDescriptorSuffix: request.statement_descriptor_suffix,
    };
    const onlyIf = {
      status: In([...statusesFor('capture')]),
      ...(amount === undefined ? {} : { amountCapturable: MoreThanOrEqual(amount) }),
    };
    const intent = await this.intents.update(tenant, id, patch, onlyIf);
    if (!intent) throw await this.captureRefusal(tenant, id, amount);
    return {
      intent: id,
      ...(await this.heldFor(tenant, intent)),
      amount: amount ?? intent.amountCapturable,
      metadata: intent.metadata,
    };
  }

  async settleCapture(
    tenant: Tenant,
    held: ReservedCapture,
    outcome: KnownOutcome,
  ): Promise<PaymentIntentEntity | CardError> {
    if (outcome.outcome === 'declined') {
      const intent = await this.intents.settle(tenant, held.intent, { status: 'requires_capture' });
      const { code, message } = outcome;
      const payment_intent = paymentIntentToWire(intent);
      return new CardError(message, { code, charge: held.charge, payment_intent });
    }
    const intent = await this.intents.settle(tenant, held.intent, {
      status: 'succeeded',
      amountCapturable: 0,
      amountReceived: held.amount,
    });
    await this.charges.update(tenant, held.charge, {
      captured: true,
      amountCaptured: held.amount,
      statementDescriptor: intent.statementDescriptor,
      statementDescriptorSuffix: intent.statementDescriptorSuffix,
    });
    return intent;
  }

  /** Takes a payment intent for its cancellation. */
  async reserveCancel(tenant: Tenant, id: string): Promise<ReservedCancellation> {
    const onlyIf = { status: In([...statusesFor('cancel')]) };
    const intent = await this.intents.update(tenant, id, { status: 'processing' }, onlyIf);
    if (!intent) throw answers.unexpectedState(await this.intents.require(tenant, id), 'cancel');
    const nothing = { charge: null, reference: null };
    const held = intent.amountCapturable > 0 ? await this.heldFor(tenant, intent) : nothing;
    return { intent: id, ...held, metadata: intent.metadata };
  }

  /** @param outcome what the acquirer said to releasing what it held; null where it held nothing */
  async settleCancel(
    tenant: Tenant,
    held: ReservedCancellation,
    outcome: KnownOutcome | null,
    request: CancelPaymentIntentParams,
  ): Promise<PaymentIntentEntity | InvalidRequestError> {
    if (outcome?.outcome === 'declined') {
      const intent = await this.intents.settle(tenant, held.intent, { status: 'requires_capture' });
      const payment_intent = paymentIntentToWire(intent);
      return new InvalidRequestError(outcome.message, { code: outcome.code, payment_intent });
    }
    if (held.charge !== null) await this.charges.update(tenant, held.charge, { released: true });
    return this.intents.cancel(tenant, held.intent, request.cancellation_reason ?? null);
  }

  private async captureRefusal(tenant: Tenant, id: string, amount: number | undefined) {
    const intent = await this.intents.require(tenant, id);
    return amount === undefined || !statusesFor('capture').includes(intent.status)
      ? answers.unexpectedState(intent, 'capture')
      : answers.captureTooLarge(intent, amount);
  }

  /** The charge by which the acquirer holds an authorised payment. */
  private async heldFor(tenant: Tenant, intent: PaymentIntentEntity) {
    const charge = intent.latestCharge && (await this.charges.find(tenant, intent.latestCharge));
    if (!charge || charge.reference === null) return this.intents.lost(intent.id);
    return { charge: charge.id, reference: charge.reference };
  }
}
