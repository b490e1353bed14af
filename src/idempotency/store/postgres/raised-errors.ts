/**
 * The errors that the application's DataSource raises, remembered as objects. Words can be anybody's: the
 * `Conflict('This trainer has too many clients')` of a handler is no failure of the database (R13a).
 */
import type { DataSource } from 'typeorm';
import { causesOf, isWorthRepeating } from './database-errors';

const raised = new WeakSet<object>();

/** @returns the same error */
export function recordRaised<E>(error: E): E {
  if (typeof error === 'object' && error !== null) raised.add(error);
  return error;
}

/** Remembers what this DataSource raises. Costs nothing while nothing fails. Called once at start-up. */
export function recordErrorsOf(dataSource: DataSource): void {
  // Internals: errors-of-typeorm
  const { logger } = dataSource;
  const logQueryError = logger.logQueryError.bind(logger);
  logger.logQueryError = (error, ...about) => {
    recordRaised(error);
    logQueryError(error, ...about);
  };
  const driver = dataSource.driver as unknown as Record<string, () => Promise<unknown>>;
  for (const name of ['obtainMasterConnection', 'obtainSlaveConnection']) {
    const obtain = driver[name]?.bind(driver);
    if (!obtain) continue;
    driver[name] = () => {
      const connection = obtain();
      connection.catch(recordRaised);
      return connection;
    };
  }
}

/**
 * Whether an error is or holds one that a DataSource of this module raised, and which asks for another try
 * of the whole.
 */
export const isRaisedAndWorthRepeating = (error: unknown): boolean =>
  causesOf(error).some((cause) => raised.has(cause) && isWorthRepeating(cause));
