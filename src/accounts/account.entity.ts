import { CreateDateColumn, Entity, PrimaryColumn } from 'typeorm';

/**
 * A tenant: the shop on whose behalf requests are made. Its name is what every row of its data
 * begins with.
 */
@Entity('accounts')
export class AccountEntity {
  /** 1 to 64 of `a-z 0-9 - _`; never changes. */
  @PrimaryColumn({ type: 'text' })
  account: string;

  @CreateDateColumn({ type: 'timestamptz' })
  created: Date;
}
