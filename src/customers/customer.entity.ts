/** A row of `customers`. */
import { Column, Entity } from 'typeorm';
import { TenantEntity } from '../database';
import type { Metadata } from '../wire';
import type { PostalAddress, Shipping } from './customer-fields';

/** A deleted customer keeps its row, emptied of everything personal. */
@Entity('customers')
export class CustomerEntity extends TenantEntity {
  @Column({ name: 'deleted', type: 'timestamptz', nullable: true })
  deleted: Date | null;

  @Column({ name: 'name', type: 'text', nullable: true })
  name: string | null;

  @Column({ name: 'email', type: 'text', nullable: true })
  email: string | null;

  @Column({ name: 'phone', type: 'text', nullable: true })
  phone: string | null;

  @Column({ name: 'description', type: 'text', nullable: true })
  description: string | null;

  @Column({ name: 'address', type: 'jsonb', nullable: true })
  address: PostalAddress | null;

  @Column({ name: 'shipping', type: 'jsonb', nullable: true })
  shipping: Shipping | null;

  @Column({ name: 'preferred_locales', type: 'jsonb', default: [] })
  preferredLocales: string[];

  @Column({ name: 'invoice_prefix', type: 'text' })
  invoicePrefix: string;

  /** Id of the payment method that pays when none is named. */
  @Column({ name: 'default_source', type: 'text', nullable: true })
  defaultSource: string | null;

  /** Id of the payment method that pays invoices; clients set and read it. */
  @Column({ name: 'default_payment_method', type: 'text', nullable: true })
  defaultPaymentMethod: string | null;

  @Column({ name: 'tax_exempt', type: 'text', default: 'none' })
  taxExempt: string;

  @Column({ name: 'metadata', type: 'jsonb', default: {} })
  metadata: Metadata;
}
