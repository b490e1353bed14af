/** What an error of the database means: by its SQLSTATE, its system code or its message. */

/** SQLSTATE classes and codes that mean the server or the way to it is gone. */
const CONNECTION_LOST_STATES = /^(08...|57P0[1-4]|25P0[34])$/;
const CONNECTION_LOST_CODES = new Set(
  'ECONNREFUSED ECONNRESET EPIPE ETIMEDOUT ENOTFOUND EAI_AGAIN EHOSTUNREACH ENETUNREACH'.split(' '),
);
/** SQLSTATE: too many connections. */
const TOO_MANY_CONNECTIONS = '53300';
/** Messages of pg, its pool, TypeORM and this module, which carry no code. */
// Internals: lost-messages
const CONNECTION_LOST_MESSAGES =
  /connection terminated|connection error and is not queryable|closed and is not queryable|timeout exceeded when trying to connect|query read timeout|too many clients|queryrunner was already released|runner already released|driver not connected|end on the pool|transaction had ended before/i;

/** SQLSTATE: serialization failure, deadlock. PostgreSQL asks for another try of the whole. */
const REPEATABLE_STATES = new Set(['40001', '40P01']);

/** Most causes that are followed from one error. */
const MAX_CAUSES = 5;

interface Cause {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly driverError?: unknown;
  readonly cause?: unknown;
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
  causesOf(error).some(({ code }) => REPEATABLE_STATES.has(String(code)));

/** An error, what it wraps, and what caused it. No `instanceof`: they may come from another realm. */
function causesOf(error: unknown): Cause[] {
  const causes: Cause[] = [];
  for (let at = error; typeof at === 'object' && at !== null && causes.length < MAX_CAUSES;) {
    const cause = at as Cause;
    causes.push(cause);
    at = cause.driverError ?? cause.cause;
  }
  return causes;
}
