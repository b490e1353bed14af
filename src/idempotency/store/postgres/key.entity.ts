/** A row of `idempotency_keys`: a key, the request it stands for, and the stored response. */
import type { RecordedRequest } from '../../request/recorded-request';
import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

// Repeated here, or a migration that TypeORM generates would drop it.
@Check(
  'idempotency_keys_state',
  `(status IS NOT NULL AND body IS NOT NULL
      AND lease_until IS NULL AND request IS NULL AND parked_at IS NULL)
    OR (status IS NULL AND headers IS NULL AND body IS NULL
      AND lease_until IS NOT NULL AND request IS NOT NULL)`,
)
@Entity({ name: 'idempotency_keys' })
export class IdempotencyKeyEntity {
  /** The scope (R3). Account first, so that the table shards by tenant. */
  @PrimaryColumn({ type: 'text', collation: 'C' })
  account: string;

  /** Partition inside the account, such as `test`; empty where there is none. */
  @PrimaryColumn({ type: 'text', collation: 'C' })
  mode: string;

  @PrimaryColumn({ type: 'text', collation: 'C' })
  key: string;

  /** One life of the key: the claim id (docs/PROTOCOL.md, "Words"). */
  @Column({ name: 'claim_id', type: 'uuid' })
  claimId: string;

  /** Executions of the handler within that life; with the claim id it is the fence (R11). */
  @Column({ type: 'integer' })
  attempt: number;

  /** HTTP method and route template. */
  @Column({ type: 'text' })
  operation: string;

  /** SHA-256 of the canonical request. */
  @Column({ type: 'bytea' })
  fingerprint: Buffer;

  @Column({ name: 'fingerprint_version', type: 'smallint' })
  fingerprintVersion: number;

  /** Four bytes, in hex, for each top-level parameter (R7). */
  @Column({ type: 'json' })
  parameters: Record<string, string>;

  /** Id of the request that ran first (R17). */
  @Column({ name: 'original_request', type: 'text' })
  originalRequest: string;

  /** Results of completed phases (R10); null once finished. */
  @Column({ type: 'json', nullable: true })
  phases: Record<string, unknown> | null;

  /** Status of the stored response; null while unfinished. */
  @Column({ type: 'smallint', nullable: true })
  status: number | null;

  /** Allow-listed headers of the stored response (R15); null where there is only the JSON `Content-Type`. */
  @Column({ type: 'json', nullable: true })
  headers: Record<string, string> | null;

  /** Body of the stored response, exactly as it went over the wire, or those bytes deflated. */
  @Column({ type: 'bytea', nullable: true })
  body: Buffer | null;

  /** Whether `body` is deflated (RFC 1951). */
  @Column({ type: 'boolean', default: false })
  deflated: boolean;

  /** When the key was claimed; the database's clock, as every time here (R5). */
  @Column({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;

  /** End of the key's life (R18). */
  @Index('idempotency_keys_expires_at')
  @Column({ name: 'expires_at', type: 'timestamptz' })
  expiresAt: Date;

  /** End of the owner's lease (R11); null once finished. */
  @Index('idempotency_keys_lease_until', { where: 'lease_until IS NOT NULL' })
  @Column({ name: 'lease_until', type: 'timestamptz', nullable: true })
  leaseUntil: Date | null;

  /** The request of an unfinished phased operation, to be sent again; erased at the finish (R19). */
  @Column({ type: 'json', nullable: true })
  request: RecordedRequest | null;

  /** Recovery does not try the row before this. */
  @Column({ name: 'retry_at', type: 'timestamptz', nullable: true })
  retryAt: Date | null;

  /** When recovery parked the row, for a person to inspect. */
  @Column({ name: 'parked_at', type: 'timestamptz', nullable: true })
  parkedAt: Date | null;
}
