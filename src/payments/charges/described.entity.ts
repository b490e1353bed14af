/** The columns of the fields that describe a payment, in `payment_intents` and in `charges`. */
import { Column } from 'typeorm';
import type { OrderShipping } from '../../customers';
import { TenantEntity } from '../../database';
import type { Metadata } from '../../wire';

/** See `descriptiveFields`. */
export abstract class DescribedEntity extends TenantEntity {
  @Column({ name: 'description', type: 'text', nullable: true })
  description: string | null;

  @Column({ name: 'metadata', type: 'jsonb' })
  metadata: Metadata;

  @Column({ name: 'receipt_email', type: 'text', nullable: true })
  receiptEmail: string | null;

  @Column({ name: 'shipping', type: 'jsonb', nullable: true })
  shipping: OrderShipping | null;

  @Column({ name: 'statement_descriptor', type: 'text', nullable: true })
  statementDescriptor: string | null;

  @Column({ name: 'statement_descriptor_suffix', type: 'text', nullable: true })
  statementDescriptorSuffix: string | null;

  @Column({ name: 'transfer_group', type: 'text', nullable: true })
  transferGroup: string | null;
}
