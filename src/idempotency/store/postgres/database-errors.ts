/** What an error of the database means: by its SQLSTATE, its system code or its message. */

/**
 * SQLSTATE: a statement that writes, in a read-only transaction. The server behind this connection has become a
 * standby; another one takes writes now.
 */
export const READ_ONLY = '25006';
/** SQLSTATE classes and codes that mean the server or the way to it is gone. */
const CONNECTION_LOST_STATES = /^(08...|57P0[1-4]|25P0[34]|25006)$/;
const CONNECTION_LOST_CODES = new Set(
  'ECONNREFUSED ECONNRESET EPIPE ETIMEDOUT ENOTFOUND EAI_AGAIN EHOSTUNREACH ENETUNREACH'.split(' '),
);
/** SQLSTATE: too many connections. */
const TOO_MANY_CONNECTIONS = '53300';
/** Messages of pg, its pool, TypeORM and this module, which carry no code. */
// Internals: lost-messages
const CONNECTION_LOST_MESSAGES =
  /connection terminated|connection error and is not queryable|closed and is not queryable|timeout exceeded when trying to connect|query read timeout|too many clients|queryrunner was already released|runner already released|driver not connected|end on the pool|transaction had ended before/i;

/**
 * SQLSTATE classes and codes after which the same work may well succeed: serialization failure, deadlock,
 * lock not available, query cancelled (a statement's time-out, too), and too few resources.
 */
const REPEATABLE_STATES = /^(40001|40P01|55P03|57014|53...)$/;

/** Most objects that are looked at from one error. */
const MAX_CAUSES = 50;

/** The properties in which an error holds another one, or several. */
interface Cause {
  readonly code?: unknown;
  readonly message?: unknown;
  /** TypeORM's. */
  readonly driverError?: unknown;
  readonly cause?: unknown;
  readonly originalError?: unknown;
  /** AggregateError's. */
  readonly errors?: unknown;
}

/** Whether an error means that the database could not be reached, rather than that it refused. */
export const isConnectionLost = (error: unknown): boolean =>
  causesOf(error).some(
    ({ code, message }) =>
      (typeof code === 'string' &&
        (CONNECTION_LOST_CODES.has(code) || CONNECTION_LOST_STATES.test(code))) ||
      code === TOO_MANY_CONNECTIONS ||
      CONNECTION_LOST_MESSAGES.test(String(message)),
  );

/** Whether the same work may well succeed when it is done again from its start. */
export const isWorthRepeating = (error: unknown): boolean =>
  isConnectionLost(error) ||
  causesOf(error).some(({ code }) => typeof code === 'string' && REPEATABLE_STATES.test(code));

/**
 * An error, and all that it holds, in cycles too. No `instanceof`: they may come from another realm.
 */
export function causesOf(error: unknown): readonly Cause[] {
  const causes = new Set<Cause>();
  const held: unknown[] = [error];
  for (const at of held) {
    if (typeof at !== 'object' || at === null || causes.has(at)) continue;
    if (causes.size === MAX_CAUSES) break;
    const { driverError, cause, originalError, errors } = at as Cause;
    causes.add(at);
    held.push(driverError, cause, originalError);
    if (Array.isArray(errors)) held.push(...errors.slice(0, MAX_CAUSES));
  }
  return [...causes];
}
