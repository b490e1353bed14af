/**
 * Reads of finished keys: those of one turn of the event loop are sent as one batch, which halves what
 * each costs.
 */
import type { DataSource } from 'typeorm';
import type { DatabaseClock } from '../database-clock';
import type { FinishedKey, KeyId } from '../key.store';
import { runStatements } from './connection';
import { isConnectionLost } from './database-errors';
import { type FinishedRow, toFinishedKey } from './rows';
import { keyValues, named } from './statements';

/** More reads than this are several batches, on several connections: each read waits for its whole batch. */
const MAX_READ_BATCH = 16;

interface PendingRead {
  readonly id: KeyId;
  readonly resolve: (found: FinishedKey | undefined) => void;
  readonly reject: (error: unknown) => void;
}

export class FinishedKeyReads {
  private pending: PendingRead[] = [];

  constructor(
    private readonly dataSource: DataSource,
    private readonly clock: DatabaseClock,
  ) {}

  /** The finished key, if it is there and has not expired. */
  find(id: KeyId): Promise<FinishedKey | undefined> {
    return new Promise((resolve, reject) => {
      const pending = this.pending.push({ id, resolve, reject });
      if (pending === 1) setImmediate(() => this.readPending());
    });
  }

  private readPending(): void {
    const reads = this.pending;
    this.pending = [];
    for (let at = 0; at < reads.length; at += MAX_READ_BATCH) {
      void this.readBatch(reads.slice(at, at + MAX_READ_BATCH));
    }
  }

  private async readBatch(reads: PendingRead[]): Promise<void> {
    const askedMs = performance.now();
    try {
      const statements = reads.map(({ id }) => named('find', keyValues(id)));
      const results = await runStatements(this.dataSource, statements);
      const found = results.map(({ rows }) => {
        const [row] = rows as [FinishedRow?];
        if (row) this.clock.recordReading(row.now_ms, askedMs);
        return row && toFinishedKey(row);
      });
      reads.forEach(({ resolve }, at) => resolve(found[at]));
    } catch (error) {
      // One of them may be at fault: then the others must not fail with it.
      if (reads.length > 1 && !isConnectionLost(error)) {
        for (const read of reads) void this.readBatch([read]);
      } else {
        for (const { reject } of reads) reject(error);
      }
    }
  }
}
