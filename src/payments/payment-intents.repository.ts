import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { type Tenant, TenantRepository } from '../database';
import { PaymentIntentEntity } from './payment-intent.entity';

@Injectable()
export class PaymentIntentsRepository extends TenantRepository<PaymentIntentEntity> {
  constructor(@InjectRepository(PaymentIntentEntity) rows: Repository<PaymentIntentEntity>) {
    super(rows);
  }

  /** The row, which nobody else can change before the caller's transaction ends. */
  async lock(tenant: Tenant, id: string): Promise<PaymentIntentEntity | null> {
    const { account, livemode } = tenant;
    return this.rows.findOne({
      where: { account, id, livemode },
      lock: { mode: 'pessimistic_write' },
    });
  }

  /** Ends a payment that is `processing`, by the database's clock. */
  async cancel(tenant: Tenant, id: string, reason: string | null) {
    const patch = {
      status: 'canceled' as const,
      amountCapturable: 0,
      nextAction: null,
      canceledAt: () => 'now()',
      cancellationReason: reason,
    };
    return this.update(tenant, id, patch, { status: 'processing' });
  }
}
