/** The fence: what every write of an attempt must still own (R11). */
import { randomUUID } from 'node:crypto';

export interface Fence {
  /** One life of the key. */
  readonly claimId: string;
  /** Executions of the handler within that life, from 1. */
  readonly attempt: number;
}

/** The first fence of a new life. */
export const newFence = (): Fence => ({ claimId: randomUUID(), attempt: 1 });
