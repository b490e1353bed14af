import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { Tenant } from '../database';
import { Gateways, requireKnownOutcome, type KnownOutcome } from '../gateway';
import type { Phases } from '../idempotency';
import { RefundableCharges, type RefundTaken } from '../payments';
import {
  Expander,
  InvalidRequestError,
  listOf,
  mergeMetadata,
  newId,
  ResourceMissingError,
} from '../wire';
import type { RefundEntity } from './refund.entity';
import { cancelRefusal, CANCELLABLE } from './refund.states';
import { type RefundObject, refundToWire } from './refund.wire';
import { RefundsRepository } from './refunds.repository';
import type {
  CreateRefundParams,
  ExpandRefundParams,
  ListRefundsParams,
  UpdateRefundParams,
} from './refunds.params';

/** A refund that was reserved: what the phases after it need, as JSON. */
interface ReservedRefund extends RefundTaken {
  readonly refund: string;
  readonly metadata: RefundEntity['metadata'];
}

/**
 * Refunds, told in phases: what is paid back is first taken from what the charge has left, so that
 * refunds that race never exceed it; then the acquirer is asked; then the refund is settled. The
 * refund of a charge that was not captured releases what the acquirer holds for it.
 */
@Injectable()
export class RefundsService implements OnModuleInit {
  constructor(
    private readonly refunds: RefundsRepository,
    private readonly charges: RefundableCharges,
    private readonly gateways: Gateways,
    private readonly expander: Expander,
  ) {}

  onModuleInit(): void {
    this.expander.register('refund', async (tenant, ids) =>
      (await this.refunds.findMany(tenant, ids)).map(refundToWire),
    );
  }

  async create(tenant: Tenant, request: CreateRefundParams, phases: Phases) {
    const reserved = await phases.local('reserve', () => this.reserve(tenant, request));
    const gateway = this.gateways.of(tenant);
    const { reference, amount, metadata, releases } = reserved;
    const order = { tenant, reference, amount, metadata };
    const outcome = await phases.remote(
      releases ? 'cancel' : 'refund',
      (key, signal) =>
        requireKnownOutcome(
          releases ? gateway.cancel(key, order, signal) : gateway.refund(key, order, signal),
        ),
      gateway.memory(tenant),
    );
    return phases.finish(async () => {
      const refund = await this.settle(tenant, reserved, outcome);
      return this.answer(tenant, refund, request.expand);
    });
  }

  /** Nothing moves: what was taken is given back, where it is certain that it did not move before. */
  async cancel(tenant: Tenant, id: string, request: ExpandRefundParams): Promise<RefundObject> {
    const onlyIf = { status: CANCELLABLE };
    const refund = await this.refunds.update(tenant, id, { status: 'canceled' }, onlyIf);
    if (!refund) {
      const found = await this.refunds.find(tenant, id);
      if (!found) throw new ResourceMissingError('refund', id);
      throw cancelRefusal(id, found.status);
    }
    await this.charges.giveBack(tenant, refund.charge, refund.amount);
    return this.answer(tenant, refund, request.expand);
  }

  async update(tenant: Tenant, id: string, request: UpdateRefundParams): Promise<RefundObject> {
    const refund = await this.refunds.lock(tenant, id);
    if (!refund) throw new ResourceMissingError('refund', id);
    const metadata = mergeMetadata(refund.metadata, request.metadata);
    const updated = await this.refunds.update(tenant, id, { metadata });
    return this.answer(tenant, updated ?? refund, request.expand);
  }

  async retrieve(tenant: Tenant, id: string, query: ExpandRefundParams): Promise<RefundObject> {
    const refund = await this.refunds.find(tenant, id);
    if (!refund) throw new ResourceMissingError('refund', id);
    return this.answer(tenant, refund, query.expand);
  }

  async list(tenant: Tenant, query: ListRefundsParams) {
    const where = {
      ...(query.charge === undefined ? {} : { charge: query.charge }),
      ...(query.payment_intent === undefined ? {} : { paymentIntent: query.payment_intent }),
    };
    const page = await this.refunds.page(tenant, query.toPage<RefundEntity>(where));
    return this.expander.expand(tenant, listOf('/v1/refunds', page, refundToWire), query.expand);
  }

  private async reserve(tenant: Tenant, request: CreateRefundParams): Promise<ReservedRefund> {
    const { charge, payment_intent: paymentIntent, amount } = request;
    if (charge === undefined && paymentIntent === undefined) {
      throw new InvalidRequestError(
        'One of the following params should be provided for this request: payment_intent or charge.',
        { code: 'parameter_missing', param: 'charge' },
      );
    }
    const taken = await this.charges.take(tenant, { charge, paymentIntent }, amount);
    const refund = await this.refunds.insert(tenant, {
      id: newId('re'),
      amount: taken.amount,
      currency: taken.currency,
      status: 'pending',
      charge: taken.charge,
      paymentIntent: taken.paymentIntent,
      paymentMethod: taken.paymentMethod,
      customer: taken.customer,
      reason: request.reason ?? null,
      reference: null,
      failureReason: null,
      metadata: mergeMetadata({}, request.metadata),
    });
    return { ...taken, refund: refund.id, metadata: refund.metadata };
  }

  /** Where the acquirer refuses, the refund stands as failed and what it took is given back. */
  private async settle(
    tenant: Tenant,
    reserved: ReservedRefund,
    outcome: KnownOutcome,
  ): Promise<RefundEntity> {
    const failed = outcome.outcome === 'declined';
    const refund = await this.refunds.update(
      tenant,
      reserved.refund,
      failed
        ? { status: 'failed', failureReason: 'declined' }
        : { status: 'succeeded', reference: outcome.reference },
      { status: 'pending' },
    );
    if (!refund) throw new Error(`The refund ${reserved.refund} is not as it was left pending.`);
    await this.charges.settle(tenant, reserved, !failed);
    return refund;
  }

  private answer(
    tenant: Tenant,
    refund: RefundEntity,
    expand: readonly string[] | undefined,
  ): Promise<RefundObject> {
    return this.expander.expand(tenant, refundToWire(refund), expand);
  }
}
