/** The commits that write a key's row, and what their failures mean for the key (R4, R11). */
import type { DatabaseError, QueryConfig } from 'pg';
import type { Fence } from '../fence';
import type { KeyId } from '../key.store';
import { CommitFailedError, KeyTakenError, LeaseLostError } from '../store.errors';
import type { PostgresTransaction } from './postgres-transaction';
import { fenceValues, named } from './statements';

/** Updates and commits, unless another attempt owns the row (R11). */
export async function commitUpdate(tx: PostgresTransaction, update: QueryConfig): Promise<void> {
  try {
    const [updated] = await tx.commit([update]);
    // `resume` locks the row, so it cannot be gone. Were it, nothing may claim to be stored.
    if (updated?.rowCount !== 1) throw new LeaseLostError();
  } catch (error) {
    const { code, column } = ((error as Error).cause ?? {}) as DatabaseError;
    if (code === '23502' && column === 'claim_id') throw new LeaseLostError();
    throw error;
  }
}

/** Inserts and commits, unless another request inserted its row first (R4). */
export async function commitInsert(
  tx: PostgresTransaction,
  id: KeyId,
  insert: QueryConfig,
  replaces?: Fence,
): Promise<void> {
  const remove = replaces ? [named('remove', fenceValues(id, replaces))] : [];
  try {
    await tx.commit([...remove, insert]);
  } catch (error) {
    const { code, constraint } = ((error as Error).cause ?? {}) as DatabaseError;
    const taken = code === '23505' && constraint === 'idempotency_keys_pkey';
    if (error instanceof CommitFailedError && taken) throw new KeyTakenError();
    throw error;
  }
}
