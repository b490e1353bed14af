/** The rows of `payment_intents`, and the statements that move one into `processing` and out of it. */
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type FindOptionsWhere, In, type QueryDeepPartialEntity, Repository } from 'typeorm';
import { type Tenant, TenantRepository } from '../../database';
import { ResourceMissingError } from '../../wire';
import { PaymentIntentEntity } from './payment-intent.entity';
import { type PaymentIntentAction, statusesFor } from './payment-intent.states';

type PaymentIntentPatch = QueryDeepPartialEntity<PaymentIntentEntity>;

/** What a reservation changes beside the status, and when. */
interface ReserveOptions {
  /** Further columns to set; properties that are undefined stay as they are. */
  readonly patch?: PaymentIntentPatch;
  /** Further conditions. */
  readonly onlyIf?: FindOptionsWhere<PaymentIntentEntity>;
}

@Injectable()
export class PaymentIntentsRepository extends TenantRepository<PaymentIntentEntity> {
  constructor(@InjectRepository(PaymentIntentEntity) rows: Repository<PaymentIntentEntity>) {
    super(rows);
  }

  override missing(id: string, param?: string): ResourceMissingError {
    return new ResourceMissingError('payment_intent', id, param);
  }

  /**
   * Marks a payment as `processing` if its status allows the action: one conditional UPDATE, so only one
   * of two requests succeeds.
   *
   * @returns null where the status or a further condition does not allow it
   */
  reserve(
    tenant: Tenant,
    id: string,
    action: PaymentIntentAction,
    { patch = {}, onlyIf = {} }: ReserveOptions = {},
  ): Promise<PaymentIntentEntity | null> {
    const status = In([...statusesFor(action)]);
    return this.update(tenant, id, { ...patch, status: 'processing' }, { ...onlyIf, status });
  }

  /**
   * Ends `processing`.
   * @throws UnexpectedRowError where it ended already: only the request that reserved a payment settles it
   */
  settle(tenant: Tenant, id: string, patch: PaymentIntentPatch): Promise<PaymentIntentEntity> {
    return this.updateExpected(tenant, id, patch, { status: 'processing' });
  }

  /** Ends `processing` by cancelling. The database's clock tells the time. */
  settleCanceled(tenant: Tenant, id: string, reason: string | null): Promise<PaymentIntentEntity> {
    return this.settle(tenant, id, {
      status: 'canceled',
      amountCapturable: 0,
      nextAction: null,
      canceledAt: () => 'now()',
      cancellationReason: reason,
    });
  }
}
