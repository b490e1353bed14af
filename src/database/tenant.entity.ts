/** What every row of a tenant has: the tenant's columns, an id, the time of creation. */
import { Column, CreateDateColumn, PrimaryColumn } from 'typeorm';

/** Whose rows a request may see: the authenticated account, in sandbox or live mode. */
export interface Tenant {
  readonly account: string;
  readonly livemode: boolean;
}

/**
 * The columns every tenant's table begins with. The account comes first in every key, so that the
 * schema shards by it. Both are compared byte by byte (collation "C"), as is every text column of a key
 * or an index: ids are time-ordered, and no order may depend on the database's locale.
 */
export abstract class TenantEntity implements Tenant {
  @PrimaryColumn({ name: 'account', type: 'text', collation: 'C' })
  account: string;

  @PrimaryColumn({ name: 'id', type: 'text', collation: 'C' })
  id: string;

  @Column({ name: 'livemode', type: 'boolean' })
  livemode: boolean;

  /** Set by the database's clock. */
  @CreateDateColumn({ name: 'created', type: 'timestamptz' })
  created: Date;
}
