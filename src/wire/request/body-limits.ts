/** How much one request may say, whether as a form, as JSON or in its URL. */
import { InvalidRequestError } from '../errors/api.errors';

/** The most values in one request; an empty hash or list counts as one. */
export const MAX_PARAMETERS = 1000;
/** The most hashes and lists within each other, the parameters themselves counted. */
export const MAX_DEPTH = 8;

/** @throws InvalidRequestError (400) where there are too many */
export function requireFewParameters(count: number): void {
  if (count <= MAX_PARAMETERS) return;
  throw new InvalidRequestError(
    `This request has ${count} parameters; at most ${MAX_PARAMETERS} are accepted.`,
  );
}

/** @param what is nested, as the beginning of a sentence */
export function nestedTooDeeply(what: string): InvalidRequestError {
  return new InvalidRequestError(
    `${what} nested too deeply: at most ${MAX_DEPTH} levels are accepted.`,
  );
}
