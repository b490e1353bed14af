/** The rows of `payment_methods`. */
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { type Tenant, TenantRepository } from '../../database';
import { ResourceMissingError } from '../../wire';
import { PaymentMethodEntity } from './payment-method.entity';

@Injectable()
export class PaymentMethodsRepository extends TenantRepository<PaymentMethodEntity> {
  constructor(@InjectRepository(PaymentMethodEntity) rows: Repository<PaymentMethodEntity>) {
    super(rows);
  }

  override missing(id: string, param?: string): ResourceMissingError {
    return new ResourceMissingError('PaymentMethod', id, param);
  }

  async detachAll(tenant: Tenant, customer: string): Promise<void> {
    const { account, livemode } = tenant;
    await this.rows.update({ account, livemode, customer }, { customer: null });
  }
}
