/** The part of charges that refunds use: reserve an amount, settle it, give it back. */
import { Injectable } from '@nestjs/common';
import type { Tenant } from '../../database';
import { InvalidRequestError } from '../../wire';
import type { ChargeEntity } from '../charges/charge.entity';
import { refundableAmount } from '../charges/charge.states';
import { ChargesRepository } from '../charges/charges.repository';
import { nothingToRefund } from './payment-intent.errors';
import { PaymentIntentsRepository } from './payment-intents.repository';

/** The charge that a request refunds, or the payment intent that made it. */
export interface RefundTarget {
  readonly charge?: string;
  readonly paymentIntent?: string;
}

/** An amount of a charge that is reserved for a refund. */
export interface ReservedAmount {
  readonly charge: string;
  readonly paymentIntent: string | null;
  readonly paymentMethod: string;
  readonly customer: string | null;
  readonly amount: number;
  readonly currency: string;
  /** The acquirer's name for the payment. */
  readonly reference: string;
  /** True where the charge was not captured: its authorisation is released, and nothing is paid back. */
  readonly releases: boolean;
}

/** Every method works in the caller's transaction. */
@Injectable()
export class RefundableCharges {
  constructor(
    private readonly charges: ChargesRepository,
    private readonly intents: PaymentIntentsRepository,
  ) {}

  /**
   * Reserves an amount of a charge: no other refund can have it. A charge that was not captured is
   * reserved as a whole: no capture can have it.
   *
   * @param amount in the smallest unit; undefined for all that is left
   * @throws ResourceMissingError where the target is not there
   * @throws InvalidRequestError where nothing is left, or less than requested
   */
  async reserve(tenant: Tenant, target: RefundTarget, amount?: number): Promise<ReservedAmount> {
    // Repeats only after another request took what this one had read, so it comes to an end.
    for (;;) {
      const charge = await this.chargeOf(tenant, target);
      const { id, paymentIntent, paymentMethod, customer, currency, reference } = charge;
      const reserved = refundableAmount(charge, amount);
      const releases = !charge.captured;
      const done = releases
        ? await this.charges.reserveRelease(tenant, id)
        : await this.charges.reserveRefund(tenant, id, reserved);
      if (!done) continue;
      // A charge that succeeded has a reference.
      if (reference === null) return this.charges.unexpected(id);
      return {
        charge: id,
        paymentIntent,
        paymentMethod,
        customer,
        currency,
        reference,
        amount: reserved,
        releases,
      };
    }
  }

  /** Settles a reserved amount: after a decline the charge has it back. */
  async settle(tenant: Tenant, reserved: ReservedAmount, approved: boolean): Promise<void> {
    const { charge: id, amount, releases } = reserved;
    if (releases) {
      await this.charges.settle(tenant, id, { status: 'succeeded', released: approved });
    } else if (!approved) {
      await this.giveBack(tenant, id, amount);
    }
  }

  /** Gives back the amount of a refund that did not take place. */
  giveBack(tenant: Tenant, charge: string, amount: number): Promise<void> {
    return this.charges.giveBackRefund(tenant, charge, amount);
  }

  private async chargeOf(tenant: Tenant, target: RefundTarget): Promise<ChargeEntity> {
    const { charge: id, paymentIntent } = target;
    if (paymentIntent === undefined) return this.charges.getOrThrow(tenant, id ?? '', 'charge');
    const intent = await this.intents.getOrThrow(tenant, paymentIntent, 'payment_intent');
    if (intent.latestCharge === null || intent.status !== 'succeeded')
      throw nothingToRefund(intent);
    if (id !== undefined && id !== intent.latestCharge) {
      throw new InvalidRequestError(
        `The charge ${id} does not belong to the payment intent ${paymentIntent}. Send one of the two.`,
        { code: 'parameters_exclusive', param: 'charge' },
      );
    }
    return this.charges.getOrThrow(tenant, intent.latestCharge, 'charge');
  }
}
