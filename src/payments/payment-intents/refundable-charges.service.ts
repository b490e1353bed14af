import { Injectable } from '@nestjs/common';
import type { Tenant } from '../../database';
import { InvalidRequestError, ResourceMissingError } from '../../wire';
import type { ChargeEntity } from '../charges/charge.entity';
import { refundableAmount } from '../charges/charge.states';
import { ChargesRepository } from '../charges/charges.repository';
import { nothingToRefund } from './payment-intent.errors';
import { PaymentIntentsRepository } from './payment-intents.repository';

/** What a refund names: a charge, or the payment intent that made it. */
export interface RefundTarget {
  readonly charge?: string;
  readonly paymentIntent?: string;
}

/** What was taken of a charge for a refund. */
export interface RefundTaken {
  readonly charge: string;
  readonly paymentIntent: string | null;
  readonly paymentMethod: string;
  readonly customer: string | null;
  readonly amount: number;
  readonly currency: string;
  /** The acquirer's name for the payment. */
  readonly reference: string;
  /** The charge was not captured: what it holds is released, and nothing is paid back. */
  readonly releases: boolean;
}

/** What refunds may take of charges. All of it in the caller's transaction. */
@Injectable()
export class RefundableCharges {
  constructor(
    private readonly charges: ChargesRepository,
    private readonly intents: PaymentIntentsRepository,
  ) {}

  /**
   * Counts an amount as refunded, so that no other refund can have it; of a charge that was not
   * captured, takes all that it holds, so that no capture can have it.
   *
   * @param amount in the smallest unit; undefined for all that is left
   * @throws ResourceMissingError where the target is not there, InvalidRequestError where nothing or
   *   less is left
   */
  async take(tenant: Tenant, target: RefundTarget, amount?: number): Promise<RefundTaken> {
    // Once more only after another request took what this one had seen, so it comes to an end.
    for (;;) {
      const charge = await this.charged(tenant, target);
      const wanted = refundableAmount(charge, amount);
      const releases = !charge.captured;
      const took = releases
        ? await this.charges.takeForRelease(tenant, charge.id)
        : await this.charges.takeForRefund(tenant, charge.id, wanted);
      if (!took) continue;
      const { id, paymentIntent, paymentMethod, customer, currency, reference } = charge;
      if (reference === null) throw new Error(`The charge ${id} was approved without a reference.`);
      return {
        charge: id,
        paymentIntent,
        paymentMethod,
        customer,
        currency,
        reference,
        amount: wanted,
        releases,
      };
    }
  }

  /** Ends what `take` began: what the acquirer refused is given back. */
  async settle(tenant: Tenant, taken: RefundTaken, approved: boolean): Promise<void> {
    const { charge: id, amount } = taken;
    if (!taken.releases) {
      if (!approved) await this.giveBack(tenant, id, amount);
      return;
    }
    const patch = { status: 'succeeded' as const, released: approved };
    const charge = await this.charges.update(tenant, id, patch, { status: 'pending' });
    if (!charge) throw new Error(`The charge ${id} is not as it was left for its release.`);
  }

  /** Gives back what was taken for a refund that did not take place. */
  giveBack(tenant: Tenant, charge: string, amount: number): Promise<void> {
    return this.charges.giveBackRefund(tenant, charge, amount);
  }

  private async charged(tenant: Tenant, target: RefundTarget): Promise<ChargeEntity> {
    const { charge: id, paymentIntent } = target;
    if (paymentIntent === undefined) return this.found(tenant, id ?? '', 'charge');
    const intent = await this.intents.find(tenant, paymentIntent);
    if (!intent) throw new ResourceMissingError('payment_intent', paymentIntent, 'payment_intent');
    if (intent.latestCharge === null || intent.status !== 'succeeded')
      throw nothingToRefund(intent);
    if (id !== undefined && id !== intent.latestCharge) {
      throw new InvalidRequestError(
        `The charge ${id} does not belong to the payment intent ${paymentIntent}. Send one of the two.`,
        { code: 'parameters_exclusive', param: 'charge' },
      );
    }
    return this.found(tenant, intent.latestCharge, 'charge');
  }

  private async found(tenant: Tenant, id: string, param: string): Promise<ChargeEntity> {
    const charge = await this.charges.find(tenant, id);
    if (!charge) throw new ResourceMissingError('charge', id, param);
    return charge;
  }
}
