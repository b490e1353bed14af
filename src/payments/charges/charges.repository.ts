import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { IsNull, MoreThanOrEqual, Repository } from 'typeorm';
import { type Tenant, TenantRepository } from '../../database';
import { ChargeEntity } from './charge.entity';

/** What is true of a charge by which the acquirer still holds money, of no payment intent. */
const HOLDING = {
  status: 'succeeded' as const,
  captured: false,
  released: false,
  paymentIntent: IsNull(),
};

@Injectable()
export class ChargesRepository extends TenantRepository<ChargeEntity> {
  constructor(@InjectRepository(ChargeEntity) rows: Repository<ChargeEntity>) {
    super(rows);
  }

  /**
   * Takes an authorised charge of its own (not of a payment intent) for a capture, in one statement.
   *
   * @param amount at most what is authorised; undefined for all of it
   * @returns null where it cannot be captured, or not for so much
   */
  async takeForCapture(tenant: Tenant, id: string, amount?: number): Promise<ChargeEntity | null> {
    const onlyIf = {
      ...HOLDING,
      ...(amount === undefined ? {} : { amount: MoreThanOrEqual(amount) }),
    };
    return this.update(tenant, id, { status: 'pending' }, onlyIf);
  }

  /**
   * Takes such a charge for the release of all that it holds, in one statement: of a capture and a
   * release that race, one finds it taken.
   *
   * @returns false where it cannot be released
   */
  async takeForRelease(tenant: Tenant, id: string): Promise<boolean> {
    return (await this.update(tenant, id, { status: 'pending' }, HOLDING)) !== null;
  }

  /**
   * Counts `amount` as refunded if that much is left of what was captured, in one statement: of
   * refunds that race, each sees what the others before it have taken.
   *
   * @returns false where it is not, or where there is no such charge
   */
  async takeForRefund(tenant: Tenant, id: string, amount: number): Promise<boolean> {
    const { affected } = await this.refundable(tenant, id, amount)
      .andWhere('amount_captured - amount_refunded >= :amount')
      .execute();
    return affected === 1;
  }

  /** Gives back what `takeForRefund` took, for a refund that did not take place. */
  async giveBackRefund(tenant: Tenant, id: string, amount: number): Promise<void> {
    await this.refundable(tenant, id, -amount).execute();
  }

  private refundable(tenant: Tenant, id: string, amount: number) {
    const { account, livemode } = tenant;
    return this.rows
      .createQueryBuilder()
      .update()
      .set({ amountRefunded: () => 'amount_refunded + :amount' })
      .where({ account, id, livemode })
      .setParameters({ amount });
  }
}
