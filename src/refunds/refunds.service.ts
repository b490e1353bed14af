/** The operations on refunds: how money goes back, phase by phase. */
import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { Tenant } from '../database';
import { Gateways, type KnownOutcome } from '../gateway';
import type { Phases } from '../idempotency';
import { RefundableCharges, type ReservedAmount } from '../payments';
import { API_PATH, Expander, InvalidRequestError, listOf, mergeMetadata, newId } from '../wire';
import type { RefundEntity } from './refund.entity';
import { cancelRefusal, CANCELLABLE } from './refund.states';
import { type RefundObject, refundToWire } from './refund.wire';
import type {
  CreateRefundParams,
  ExpandRefundParams,
  ListRefundsParams,
  UpdateRefundParams,
} from './refunds.params';
import { RefundsRepository } from './refunds.repository';

/** A reserved refund: what its later phases need, stored as JSON. */
interface ReservedRefund extends ReservedAmount {
  readonly refund: string;
  readonly metadata: RefundEntity['metadata'];
}

/**
 * A refund has three phases. The first reserves its amount, so that refunds at the same moment never
 * exceed the charge together. The second sends the order to the acquirer. The third settles the refund by
 * the outcome. The refund of a charge that was not captured releases the authorised amount.
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

  async create(tenant: Tenant, params: CreateRefundParams, phases: Phases) {
    const reserved = await phases.local('reserve', () => this.reserve(tenant, params));
    const { reference, amount, metadata, releases } = reserved;
    const order = { tenant, reference, amount, metadata };
    const outcome = await this.gateways.send(releases ? 'cancel' : 'refund', order, phases);
    return phases.finish(async () => {
      const refund = await this.settle(tenant, reserved, outcome);
      return this.toWire(tenant, refund, params.expand);
    });
  }

  /** Cancels a refund whose money has certainly not moved, and gives its amount back to the charge. */
  async cancel(tenant: Tenant, id: string, params: ExpandRefundParams): Promise<RefundObject> {
    const onlyIf = { status: CANCELLABLE };
    const refund = await this.refunds.update(tenant, id, { status: 'canceled' }, onlyIf);
    if (!refund) throw cancelRefusal(id, (await this.refunds.getOrThrow(tenant, id)).status);
    await this.charges.giveBack(tenant, refund.charge, refund.amount);
    return this.toWire(tenant, refund, params.expand);
  }

  async update(tenant: Tenant, id: string, params: UpdateRefundParams): Promise<RefundObject> {
    const refund = await this.refunds.lockOrThrow(tenant, id);
    const metadata = mergeMetadata(refund.metadata, params.metadata);
    const updated = await this.refunds.updateExpected(tenant, id, { metadata });
    return this.toWire(tenant, updated, params.expand);
  }

  async retrieve(tenant: Tenant, id: string, params: ExpandRefundParams): Promise<RefundObject> {
    return this.toWire(tenant, await this.refunds.getOrThrow(tenant, id), params.expand);
  }

  async list(tenant: Tenant, params: ListRefundsParams) {
    const where = {
      ...(params.charge === undefined ? {} : { charge: params.charge }),
      ...(params.payment_intent === undefined ? {} : { paymentIntent: params.payment_intent }),
    };
    const page = await this.refunds.page(tenant, params.toPage<RefundEntity>(where));
    return this.expander.expand(
      tenant,
      listOf(`${API_PATH}/refunds`, page, refundToWire),
      params.expand,
    );
  }

  /** Stores a new refund as `pending`, with its amount reserved. */
  private async reserve(tenant: Tenant, params: CreateRefundParams): Promise<ReservedRefund> {
    const { charge, payment_intent: paymentIntent, amount } = params;
    if (charge === undefined && paymentIntent === undefined) {
      throw new InvalidRequestError(
        'One of the following params should be provided for this request: payment_intent or charge.',
        { code: 'parameter_missing', param: 'charge' },
      );
    }
    const reserved = await this.charges.reserve(tenant, { charge, paymentIntent }, amount);
    const refund = await this.refunds.insert(tenant, {
      id: newId('re'),
      amount: reserved.amount,
      currency: reserved.currency,
      status: 'pending',
      charge: reserved.charge,
      paymentIntent: reserved.paymentIntent,
      paymentMethod: reserved.paymentMethod,
      customer: reserved.customer,
      reason: params.reason ?? null,
      reference: null,
      failureReason: null,
      metadata: mergeMetadata({}, params.metadata),
    });
    return { ...reserved, refund: refund.id, metadata: refund.metadata };
  }

  /** Stores the outcome. A declined refund has failed, and its charge gets the amount back. */
  private async settle(
    tenant: Tenant,
    reserved: ReservedRefund,
    outcome: KnownOutcome,
  ): Promise<RefundEntity> {
    const approved = outcome.outcome === 'approved';
    const refund = await this.refunds.updateExpected(
      tenant,
      reserved.refund,
      approved
        ? { status: 'succeeded', reference: outcome.reference }
        : { status: 'failed', failureReason: 'declined' },
      { status: 'pending' },
    );
    await this.charges.settle(tenant, reserved, approved);
    return refund;
  }

  private toWire(
    tenant: Tenant,
    refund: RefundEntity,
    expand: readonly string[] | undefined,
  ): Promise<RefundObject> {
    return this.expander.expand(tenant, refundToWire(refund), expand);
  }
}
