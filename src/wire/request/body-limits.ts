/** How many parameters one request may have, in a form, in JSON or in its URL. */
import { InvalidRequestError } from '../errors/api.errors';

/** Values in one request. An empty hash or list counts as one. */
export const MAX_PARAMETERS = 1000;
/** Levels of hashes and lists. The parameters themselves are the first level. */
export const MAX_DEPTH = 8;

/** @throws InvalidRequestError (400) for more than `MAX_PARAMETERS` */
export function limitParameters(count: number): void {
  if (count <= MAX_PARAMETERS) return;
  throw new InvalidRequestError(
    `This request has ${count} parameters; at most ${MAX_PARAMETERS} are accepted.`,
  );
}

/** @param what is nested: the beginning of the message, with its verb */
export function nestingError(what: string): InvalidRequestError {
  return new InvalidRequestError(
    `${what} nested too deeply: at most ${MAX_DEPTH} levels are accepted.`,
  );
}
