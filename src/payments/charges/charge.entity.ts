/** A row of `charges`. */
import { Column, Entity } from 'typeorm';
import { DescribedEntity } from './described.entity';
import type { CardFace } from '../payment-methods/payment-method.entity';

/** `pending` while the acquirer's outcome of the charge, its capture or its release is not known. */
export const CHARGE_STATUSES = ['pending', 'succeeded', 'failed'] as const;
export type ChargeStatus = (typeof CHARGE_STATUSES)[number];

/** One attempt to take money from a card. Amounts are in the currency's smallest unit. */
@Entity('charges')
export class ChargeEntity extends DescribedEntity {
  @Column({ name: 'amount', type: 'integer' })
  amount: number;

  /** At most `amount`; 0 until it is captured. */
  @Column({ name: 'amount_captured', type: 'integer' })
  amountCaptured: number;

  /** Includes refunds that are reserved: they are counted before the acquirer gets the order. */
  @Column({ name: 'amount_refunded', type: 'integer' })
  amountRefunded: number;

  @Column({ name: 'currency', type: 'text' })
  currency: string;

  @Column({ name: 'status', type: 'text' })
  status: ChargeStatus;

  /** Whether the money was taken; false while it is only authorised. */
  @Column({ name: 'captured', type: 'boolean' })
  captured: boolean;

  /** The authorisation was released without a capture. */
  @Column({ name: 'released', type: 'boolean' })
  released: boolean;

  /** The acquirer's name for this payment; null until it approves. */
  @Column({ name: 'reference', type: 'text', nullable: true })
  reference: string | null;

  @Column({ name: 'customer', type: 'text', nullable: true })
  customer: string | null;

  @Column({ name: 'payment_intent', type: 'text', nullable: true })
  paymentIntent: string | null;

  @Column({ name: 'payment_method', type: 'text' })
  paymentMethod: string;

  /** The card as it was when it was charged. */
  @Column({ name: 'card', type: 'jsonb' })
  card: CardFace;

  @Column({ name: 'failure_code', type: 'text', nullable: true })
  failureCode: string | null;

  @Column({ name: 'failure_message', type: 'text', nullable: true })
  failureMessage: string | null;

  @Column({ name: 'decline_code', type: 'text', nullable: true })
  declineCode: string | null;
}
