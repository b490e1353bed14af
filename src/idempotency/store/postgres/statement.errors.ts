/** What is said of the statements of a handler that are refused (R9a, R9b). */

/** What the handler still does after its transaction was rolled back. */
export const undoneError = (): Error =>
  new Error(
    'The transaction of this request was rolled back, so what its handler still writes is refused. ' +
      'Await all work of a handler, or take it out of the request with outsideTransaction().',
  );

/** A query runner that was obtained before the transaction ended. */
export const runnerOverError = (): Error =>
  new Error(
    'This query runner, or its manager, belongs to the transaction of a request, and that is over. ' +
      'Get another one, or use repositories.',
  );

/** @param failure of the statement after which PostgreSQL refuses all others */
export function abortedError(failure: unknown): Error {
  const first = failure instanceof Error ? ` (${failure.message})` : '';
  return new Error(
    `An earlier statement of this transaction failed${first}, and PostgreSQL refuses all others. To go on after ` +
      'an error, put the statement that may fail into a nested transaction: dataSource.transaction().',
    { cause: failure },
  );
}
