/** A row of `refunds`. */
import { Column, Entity } from 'typeorm';
import { TenantEntity } from '../database';
import type { Metadata } from '../wire';
import type { RefundStatus } from './refund.states';

/** A payment that is paid back, or a part of it. Amounts are in the currency's smallest unit. */
@Entity('refunds')
export class RefundEntity extends TenantEntity {
  @Column({ name: 'amount', type: 'integer' })
  amount: number;

  @Column({ name: 'currency', type: 'text' })
  currency: string;

  @Column({ name: 'status', type: 'text' })
  status: RefundStatus;

  @Column({ name: 'charge', type: 'text' })
  charge: string;

  @Column({ name: 'payment_intent', type: 'text', nullable: true })
  paymentIntent: string | null;

  @Column({ name: 'payment_method', type: 'text' })
  paymentMethod: string;

  @Column({ name: 'customer', type: 'text', nullable: true })
  customer: string | null;

  @Column({ name: 'reason', type: 'text', nullable: true })
  reason: string | null;

  /** The acquirer's name for this refund; null until it approves. */
  @Column({ name: 'reference', type: 'text', nullable: true })
  reference: string | null;

  @Column({ name: 'failure_reason', type: 'text', nullable: true })
  failureReason: string | null;

  @Column({ name: 'metadata', type: 'jsonb' })
  metadata: Metadata;
}
