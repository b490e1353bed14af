import { Column, CreateDateColumn, Entity, PrimaryColumn } from 'typeorm';

/** An API key as the server knows it: enough to recognise it, not enough to use it. */
@Entity('api_keys')
export class ApiKeyEntity {
  @PrimaryColumn({ type: 'text' })
  account: string;

  /** `key_…`, for lists and for revoking; not secret. */
  @PrimaryColumn({ type: 'text' })
  id: string;

  /** True for `sk_live_…`. Objects of one mode are not visible to keys of the other. */
  @Column({ type: 'boolean' })
  livemode: boolean;

  /** SHA-256 of the whole key. */
  @Column({ type: 'bytea' })
  hash: Buffer;

  /** The last four characters, to tell one key from another. */
  @Column({ type: 'text' })
  hint: string;

  @CreateDateColumn({ type: 'timestamptz' })
  created: Date;

  /** From here on the key is refused. */
  @Column({ type: 'timestamptz', nullable: true })
  revoked: Date | null;
}
