/** The rows of `charges`, and the statements by which captures, releases and refunds take a charge. */
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { IsNull, MoreThanOrEqual, Repository } from 'typeorm';
import { type Tenant, TenantRepository } from '../../database';
import { ResourceMissingError } from '../../wire';
import { ChargeEntity } from './charge.entity';

/** An authorised charge whose money the acquirer still holds, and which no payment intent made. */
const AUTHORISED = {
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

  override missing(id: string, param?: string): ResourceMissingError {
    return new ResourceMissingError('charge', id, param);
  }

  /**
   * Reserves an authorised charge for its capture: one conditional UPDATE, so only one of two requests
   * succeeds.
   *
   * @param amount at most the authorised amount; undefined for all of it
   * @returns null where the charge cannot be captured, or not for that amount
   */
  async reserveCapture(tenant: Tenant, id: string, amount?: number): Promise<ChargeEntity | null> {
    const onlyIf = {
      ...AUTHORISED,
      ...(amount === undefined ? {} : { amount: MoreThanOrEqual(amount) }),
    };
    return this.update(tenant, id, { status: 'pending' }, onlyIf);
  }

  /**
   * Reserves an authorised charge for the release of its whole amount, as `reserveCapture` does.
   * @returns false where the charge cannot be released
   */
  async reserveRelease(tenant: Tenant, id: string): Promise<boolean> {
    return (await this.update(tenant, id, { status: 'pending' }, AUTHORISED)) !== null;
  }

  /**
   * Ends `pending`, once the acquirer's outcome is known.
   * @throws UnexpectedRowError where the charge is not pending: only the request that reserved it settles it
   */
  settle(tenant: Tenant, id: string, patch: Partial<ChargeEntity>): Promise<ChargeEntity> {
    return this.updateExpected(tenant, id, patch, { status: 'pending' });
  }

  /**
   * Counts an amount as refunded if that much of the captured amount is left: one conditional UPDATE, so
   * refunds at the same moment never exceed it together.
   *
   * @returns false where less is left, or where there is no such charge
   */
  async reserveRefund(tenant: Tenant, id: string, amount: number): Promise<boolean> {
    const { affected } = await this.addRefunded(tenant, id, amount)
      .andWhere('amount_captured - amount_refunded >= :amount')
      .execute();
    return affected === 1;
  }

  /** Undoes `reserveRefund`, for a refund that did not take place. */
  async giveBackRefund(tenant: Tenant, id: string, amount: number): Promise<void> {
    await this.addRefunded(tenant, id, -amount).execute();
  }

  private addRefunded(tenant: Tenant, id: string, amount: number) {
    const { account, livemode } = tenant;
    return this.rows
      .createQueryBuilder()
      .update()
      .set({ amountRefunded: () => 'amount_refunded + :amount' })
      .where({ account, id, livemode })
      .setParameters({ amount });
  }
}
