/** The row of an account. */
import { CreateDateColumn, Entity, PrimaryColumn } from 'typeorm';

/**
 * A tenant: the shop for which requests are made. The primary key of every row of its data begins with
 * its name.
 */
@Entity('accounts')
export class AccountEntity {
  /** 1 to 64 of `a-z 0-9 - _`; never changes. */
  @PrimaryColumn({ type: 'text' })
  account: string;

  @CreateDateColumn({ type: 'timestamptz' })
  created: Date;
}
