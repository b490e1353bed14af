/** A row of `payment_intents`. */
import { Column, Entity } from 'typeorm';
import { DescribedEntity } from '../charges/described.entity';
import type { CaptureMethod, PaymentIntentStatus } from './payment-intent.states';

/** Why the last attempt to pay failed, as responses show it. */
export interface PaymentFailure {
  readonly type: 'card_error';
  readonly code: string;
  readonly decline_code?: string;
  readonly message: string;
  readonly charge: string;
  readonly payment_method: object;
}

/** What the buyer has to do next, as responses show it. */
export type NextAction =
  | {
      readonly type: 'redirect_to_url';
      readonly redirect_to_url: { readonly return_url: string; readonly url: string | null };
    }
  | {
      readonly type: 'use_stripe_sdk';
      readonly use_stripe_sdk: { readonly type: 'three_d_secure_redirect' };
    };

/** A payment, from the order to the money. Amounts are in the currency's smallest unit. */
@Entity('payment_intents')
export class PaymentIntentEntity extends DescribedEntity {
  @Column({ name: 'amount', type: 'integer' })
  amount: number;

  /** Authorised and not captured. */
  @Column({ name: 'amount_capturable', type: 'integer' })
  amountCapturable: number;

  @Column({ name: 'amount_received', type: 'integer' })
  amountReceived: number;

  @Column({ name: 'currency', type: 'text' })
  currency: string;

  @Column({ name: 'status', type: 'text' })
  status: PaymentIntentStatus;

  @Column({ name: 'capture_method', type: 'text' })
  captureMethod: CaptureMethod;

  @Column({ name: 'confirmation_method', type: 'text' })
  confirmationMethod: 'automatic' | 'manual';

  @Column({ name: 'customer', type: 'text', nullable: true })
  customer: string | null;

  @Column({ name: 'payment_method', type: 'text', nullable: true })
  paymentMethod: string | null;

  @Column({ name: 'latest_charge', type: 'text', nullable: true })
  latestCharge: string | null;

  @Column({ name: 'last_payment_error', type: 'jsonb', nullable: true })
  lastPaymentError: PaymentFailure | null;

  @Column({ name: 'next_action', type: 'jsonb', nullable: true })
  nextAction: NextAction | null;

  @Column({ name: 'canceled_at', type: 'timestamptz', nullable: true })
  canceledAt: Date | null;

  @Column({ name: 'cancellation_reason', type: 'text', nullable: true })
  cancellationReason: string | null;

  /** The random part of `client_secret`; the id comes before it. */
  @Column({ name: 'secret', type: 'text' })
  secret: string;

  @Column({ name: 'payment_method_types', type: 'jsonb' })
  paymentMethodTypes: string[];

  @Column({ name: 'automatic_payment_methods', type: 'jsonb', nullable: true })
  automaticPaymentMethods: { enabled: boolean; allow_redirects?: string } | null;

  @Column({ name: 'setup_future_usage', type: 'text', nullable: true })
  setupFutureUsage: 'off_session' | 'on_session' | null;
}
