/** Describes a controller's handler for the OpenAPI document. */
import type { Schema } from './schema';

export interface OperationOptions {
  /** What the summary leaves out. */
  readonly description?: string;
  /** A body that works in the sandbox without changes. */
  readonly example?: Readonly<Record<string, unknown>>;
  /** Whether an acquirer may decline it: the response may then be a 402. */
  readonly declines?: boolean;
  /** Bodies of responses other than 200 that are not errors: status → schema. */
  readonly otherResponses?: Readonly<Record<number, Schema<unknown>>>;
}

/** What a handler declares for the OpenAPI document. */
export interface DeclaredOperation extends OperationOptions {
  /** The prototype of its controller. */
  readonly target: object;
  readonly handler: string;
  readonly summary: string;
  readonly responseSchema: Schema<unknown>;
}

/** All operations that controllers have declared. */
export const declaredOperations: DeclaredOperation[] = [];

/**
 * Describes a handler. Its path, parameters, idempotency key and errors are read from the handler
 * itself.
 *
 * @param summary a few words in the imperative
 * @param responseSchema of the body of its 200
 */
export function Operation(
  summary: string,
  responseSchema: Schema<unknown>,
  options: OperationOptions = {},
): MethodDecorator {
  return (target, handler) => {
    declaredOperations.push({
      target,
      handler: String(handler),
      summary,
      responseSchema,
      ...options,
    });
  };
}
