/** The phases of a phased operation (R10 to R12), as its handler sees them: `@Phases() phases: Phases`. */
import { createParamDecorator } from '@nestjs/common';
import { currentHandlerContext } from './handler-context';

/** What a phased handler is given, as its `@Phases()` parameter. */
export interface Phases {
  /**
   * Runs `work` in one transaction. On a later attempt `work` is not run again: its recorded result is
   * returned. The first local phase claims the key.
   *
   * @param name unique in the handler, and the same on every attempt
   * @returns the result as JSON keeps it, on the first run too
   * @throws what `work` throws; the phase is rolled back then
   */
  local<T>(name: string, work: () => Promise<T>): Promise<T>;
  /**
   * Calls something outside of the database. Whatever `call` throws means that the outcome is unknown
   * (R12): the client gets 503, and the next attempt repeats the call with the same remote key. So `call`
   * returns a refusal as its result. The next local phase records the result.
   *
   * A handler that catches the error may try the phase of this name again. Every other phase is refused
   * from then on, and the client gets the 503 whatever the handler returns or throws (R12a).
   *
   * @param name unique in the handler, and the same on every attempt
   * @param call is given a key of 40 characters that is the same on every attempt, and a signal that
   *   fires at the deadline
   * @returns the result as JSON keeps it
   * @throws IdempotencyOutcomeUnknownError when `call` threw or exceeded the deadline
   */
  remote<T>(
    name: string,
    call: (remoteKey: string, signal: AbortSignal) => Promise<T>,
    options: RemoteOptions<T> & { readonly mayFail: true },
  ): Promise<T | undefined>;
  remote<T>(
    name: string,
    call: (remoteKey: string, signal: AbortSignal) => Promise<T>,
    options?: RemoteOptions<T>,
  ): Promise<T>;
  /**
   * Runs the last phase, whose writes commit together with the response: `return phases.finish(…)`.
   * An Error that `work` returns is an outcome, such as a decline: its writes are committed, and the
   * client gets it as the response. An Error that `work` throws rolls the phase back.
   *
   * @returns what `work` returned
   * @throws the Error that `work` returned or threw
   */
  finish<T>(work: () => Promise<T | Error>): Promise<T>;
}

/** Bounds of one remote phase. */
export interface RemoteOptions<T> {
  /** Longest duration of the call, ms; at most the module's `remoteDeadlineMs`, its default. */
  readonly deadlineMs?: number;
  /**
   * How long the far side remembers keys, ms since the claim. Past it the call is not repeated (R12).
   * Default: for ever.
   */
  readonly dedupeWindowMs?: number;
  /**
   * Asks the far side what became of the key, once the window is over. Returns undefined where the far
   * side does not know.
   */
  readonly lookUp?: (remoteKey: string, signal: AbortSignal) => Promise<T | undefined>;
  /**
   * Whether the operation can do without this call: where its outcome is unknown, the phase returns
   * undefined instead of an error, and the next local phase or `finish` records it as past (R12a). Default
   * false.
   */
  readonly mayFail?: boolean;
}

/**
 * The phases of this request, as a parameter of a handler with `@Idempotent({ phased: true })`.
 *
 * @throws Error on a handler that is not phased
 */
export const Phases = createParamDecorator((): Phases => {
  const phases = currentHandlerContext()?.phases as Phases | undefined;
  if (!phases) {
    throw new Error('@Phases() needs @Idempotent({ phased: true }) on the same handler.');
  }
  return phases;
});
