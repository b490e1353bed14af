import type { Schema } from './schema';

export interface OperationOptions {
  /** What the summary leaves out. */
  readonly description?: string;
  /** A body that works in the sandbox as it is. */
  readonly example?: Readonly<Record<string, unknown>>;
  /** Whether an acquirer may decline it: it then answers 402 too. */
  readonly declines?: boolean;
  /** Answers other than 200 that are no errors: status → what it looks like. */
  readonly otherResponses?: Readonly<Record<number, Schema<unknown>>>;
}

/** What the OpenAPI document says of a handler, beside what it sees by itself. */
export interface DeclaredOperation extends OperationOptions {
  /** The prototype of its controller. */
  readonly target: object;
  readonly handler: string;
  readonly summary: string;
  readonly responseSchema: Schema<unknown>;
}

/** Every operation there is. */
export const declaredOperations: DeclaredOperation[] = [];

/**
 * Describes a handler for the OpenAPI document. Its path, parameters, idempotency key and errors are
 * read off the handler itself.
 *
 * @param summary a few words in the imperative
 * @param answer what it answers 200 with
 */
export function Operation(
  summary: string,
  answer: Schema<unknown>,
  options: OperationOptions = {},
): MethodDecorator {
  return (target, handler) => {
    declaredOperations.push({
      target,
      handler: String(handler),
      summary,
      responseSchema: answer,
      ...options,
    });
  };
}
