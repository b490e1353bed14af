import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { type Tenant, TenantRepository } from '../../database';
import { ResourceMissingError } from '../../wire';
import { PaymentIntentEntity } from './payment-intent.entity';

type Patch = Parameters<TenantRepository<PaymentIntentEntity>['update']>[2];

@Injectable()
export class PaymentIntentsRepository extends TenantRepository<PaymentIntentEntity> {
  constructor(@InjectRepository(PaymentIntentEntity) rows: Repository<PaymentIntentEntity>) {
    super(rows);
  }

  /** @throws ResourceMissingError (404) where there is none */
  async require(tenant: Tenant, id: string): Promise<PaymentIntentEntity> {
    const intent = await this.find(tenant, id);
    if (!intent) throw new ResourceMissingError('payment_intent', id);
    return intent;
  }

  /** @throws ResourceMissingError (404) where there is none */
  override async lock(tenant: Tenant, id: string): Promise<PaymentIntentEntity> {
    const intent = await super.lock(tenant, id);
    if (!intent) throw new ResourceMissingError('payment_intent', id);
    return intent;
  }

  /** Ends `processing`. Only the request that reserved the payment gets here, and it does so once. */
  async settle(tenant: Tenant, id: string, patch: Patch): Promise<PaymentIntentEntity> {
    const intent = await this.update(tenant, id, patch, { status: 'processing' });
    return intent ?? this.lost(id);
  }

  /** Ends `processing` by cancelling, at a time that the database's clock tells. */
  async cancel(tenant: Tenant, id: string, reason: string | null): Promise<PaymentIntentEntity> {
    return this.settle(tenant, id, {
      status: 'canceled',
      amountCapturable: 0,
      nextAction: null,
      canceledAt: () => 'now()',
      cancellationReason: reason,
    });
  }

  /** A row that an earlier step had secured is not as it was left: a bug, never an answer of its own. */
  lost(id: string): never {
    throw new Error(`The payment ${id} is not as the step before left it.`);
  }
}
