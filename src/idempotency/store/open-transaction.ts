/** A transaction that is open, on one connection of the application's pool. */
export interface OpenTransaction {
  /** Runs `work` so that all its database access through the DataSource joins this transaction (R9). */
  run<T>(work: () => T): T;
  /**
   * @throws CommitInDoubtError when the reply to COMMIT was lost
   * @throws CommitFailedError when the database rolled back instead
   */
  commit(): Promise<unknown>;
  /**
   * Undoes everything half a second from now, unless it is over by then, if something in this process that is
   * no handler waits for it: an exception filter that uses its rows would wait for ever (R9b).
   */
  giveWayLater(): void;
  /** Undoes everything. Never throws; does nothing to a transaction that is over. */
  rollback(): Promise<void>;
  /**
   * Once it is rolled back: the error worth repeating that had ended it already, whoever caught that (R13a).
   * Nothing where it was whole until then.
   */
  readonly failure?: unknown;
}
