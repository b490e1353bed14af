/** The row of an API key. */
import { Column, CreateDateColumn, Entity, PrimaryColumn } from 'typeorm';

/** An API key: its hash recognises the key, but the key cannot be derived from it. */
@Entity('api_keys')
export class ApiKeyEntity {
  @PrimaryColumn({ type: 'text' })
  account: string;

  /** `key_…`: names the key in lists and when it is revoked. Not secret. */
  @PrimaryColumn({ type: 'text' })
  id: string;

  /** True for `sk_live_…`. Objects of one mode are not visible to keys of the other. */
  @Column({ type: 'boolean' })
  livemode: boolean;

  /** SHA-256 of the whole key. */
  @Column({ type: 'bytea' })
  hash: Buffer;

  /** The last four characters of the key, for lists. */
  @Column({ type: 'text' })
  hint: string;

  @CreateDateColumn({ type: 'timestamptz' })
  created: Date;

  /** When the key was revoked; null while it is valid. */
  @Column({ type: 'timestamptz', nullable: true })
  revoked: Date | null;
}
