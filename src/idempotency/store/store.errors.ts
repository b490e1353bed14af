/** Why a key could not be written. The pipeline finds out what to send instead. */

/** Another attempt owns the key now; nothing was written (R11). */
export class LeaseLostError extends Error {}

/** Another request inserted its row first, finished or not: the unique index decided (R4). */
export class KeyTakenError extends Error {}

/** PostgreSQL rolled the transaction back instead of committing; `cause` is the reason. */
export class CommitFailedError extends Error {}

/** The reply to COMMIT was lost: the transaction may have committed (R21). */
export class CommitInDoubtError extends Error {
  /** @param whenCommitted what is to happen where it turns out that it had committed */
  constructor(
    message: string,
    options?: ErrorOptions,
    readonly whenCommitted: () => void = () => undefined,
  ) {
    super(message, options);
  }
}
