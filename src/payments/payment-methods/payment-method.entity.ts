/** A row of `payment_methods`. */
import { Column, Entity } from 'typeorm';
import { TenantEntity } from '../../database';
import type { Metadata } from '../../wire';

/** The parts of a card that may be shown. */
export interface CardFace {
  readonly brand: string;
  readonly country: string;
  readonly exp_month: number;
  readonly exp_year: number;
  /** The same for the same card, however often it is used. */
  readonly fingerprint: string;
  readonly funding: string;
  readonly last4: string;
}

/** A card that a buyer may pay with. */
@Entity('payment_methods')
export class PaymentMethodEntity extends TenantEntity {
  /** The acquirer's token for the card, in the sandbox the X of `pm_card_X`. Never a card number. */
  @Column({ name: 'token', type: 'text' })
  token: string;

  @Column({ name: 'card', type: 'jsonb' })
  card: CardFace;

  /** The customer it is attached to; null for none. */
  @Column({ name: 'customer', type: 'text', nullable: true })
  customer: string | null;

  @Column({ name: 'metadata', type: 'jsonb' })
  metadata: Metadata;
}
