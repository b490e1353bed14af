/** The rows of `customers`. */
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { IsNull, Raw, type QueryDeepPartialEntity, type Repository } from 'typeorm';
import { TenantRepository, type RowPage, type Tenant } from '../database';
import { type ListParams, type Metadata, ResourceMissingError } from '../wire';
import { customerFields } from './customer-fields';
import { CustomerEntity } from './customer.entity';

@Injectable()
export class CustomersRepository extends TenantRepository<CustomerEntity> {
  constructor(@InjectRepository(CustomerEntity) rows: Repository<CustomerEntity>) {
    super(rows);
  }

  override missing(id: string, param?: string): ResourceMissingError {
    return new ResourceMissingError('customer', id, param);
  }

  /** Customers that were not deleted; by exact email where one is given. */
  pageOfPresent(
    tenant: Tenant,
    params: ListParams,
    email: string | undefined,
  ): Promise<RowPage<CustomerEntity>> {
    const where = { deleted: IsNull(), ...(email === undefined ? {} : { email }) };
    return this.page(tenant, params.toPage<CustomerEntity>(where));
  }

  /**
   * Changes a customer that was not deleted, if its metadata is still as the caller read it. So two
   * changes at once do not undo each other.
   *
   * @returns null where it is not
   */
  change(
    tenant: Tenant,
    id: string,
    patch: QueryDeepPartialEntity<CustomerEntity>,
    seen: Metadata,
  ): Promise<CustomerEntity | null> {
    const unchanged = Raw((column) => `${column} = CAST(:seen AS jsonb)`, {
      seen: JSON.stringify(seen),
    });
    return this.update(tenant, id, patch, { deleted: IsNull(), metadata: unchanged });
  }

  /** Empties a customer of everything personal. @returns null where it is gone already */
  markDeleted(tenant: Tenant, id: string): Promise<CustomerEntity | null> {
    const nothing = {
      ...customerFields.newRow({}),
      defaultSource: null,
      defaultPaymentMethod: null,
    };
    return this.update(tenant, id, { ...nothing, deleted: () => 'now()' }, { deleted: IsNull() });
  }
}
