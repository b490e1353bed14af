import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { type Tenant, TenantRepository } from '../database';
import { RefundEntity } from './refund.entity';

@Injectable()
export class RefundsRepository extends TenantRepository<RefundEntity> {
  constructor(@InjectRepository(RefundEntity) rows: Repository<RefundEntity>) {
    super(rows);
  }

  /** The row, which nobody else can change before the caller's transaction ends. */
  async lock(tenant: Tenant, id: string): Promise<RefundEntity | null> {
    const { account, livemode } = tenant;
    return this.rows.findOne({
      where: { account, id, livemode },
      lock: { mode: 'pessimistic_write' },
    });
  }
}
