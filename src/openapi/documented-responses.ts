/** The responses of an operation in the document: their statuses, schemas and headers (R17). */
import type { OpenAPIObject } from '@nestjs/swagger';
import { type DeclaredOperation, errorSchema, type JsonSchema } from '../wire';

type Headers = NonNullable<NonNullable<OpenAPIObject['components']>['headers']>;
type Responses = NonNullable<OpenAPIObject['paths'][string]['get']>['responses'];

/** Responses that operations share, by their name in the document. */
export type SharedResponses = Record<string, ReturnType<typeof describeResponse>>;

/** An operation with the facts that decide its responses. */
export interface DescribedOperation extends DeclaredOperation {
  readonly method: string;
  readonly path: string;
  /** Whether it needs an API key. */
  readonly authenticated: boolean;
  /** Whether it takes an idempotency key. */
  readonly keyed: boolean;
}

const header = (description: string, schema: JsonSchema = { type: 'string' }) => ({
  description,
  schema,
});
const TRUE = { type: 'string', const: 'true' };

export const HEADERS = {
  'Request-Id': header('New for each request: name it when you ask about one.'),
  'Stripe-Version': header('The version the request named, else that of this API.'),
  'WWW-Authenticate': header('The scheme to send the API key in.'),
  'Retry-After': header('Seconds until the same request is worth sending again.', {
    type: 'string',
    pattern: '^\\d+$',
  }),
  'Stripe-Should-Retry': header('Whether the same request may have another response later.', {
    type: 'string',
    enum: ['true', 'false'],
  }),
  'Idempotency-Key': header('The key of the request; one of its own where none was sent.'),
  'Original-Request': header('The Request-Id of the request that first used the key.'),
  'Idempotent-Replayed': header(
    'On a replay: the response was stored by an earlier request.',
    TRUE,
  ),
} satisfies Headers;
type HeaderName = keyof typeof HEADERS;

/** Status → its name in the document and its meaning. */
const ERRORS = {
  400: ['InvalidRequest', 'The request is wrong, and stays wrong however often it is sent.'],
  401: ['Unauthenticated', 'There is no API key, or none that is valid.'],
  402: ['Declined', 'The card was declined.'],
  403: ['Forbidden', 'The API key does not act for other accounts: leave out Stripe-Account.'],
  404: ['NotFound', 'What the path names does not exist, or not for this API key.'],
  409: [
    'Conflict',
    'Another request with this idempotency key is running (`idempotency_key_in_use`: send it again), ' +
      'or the key was used for another request (`idempotency_key_reused`).',
  ],
  413: ['TooLarge', 'The body is too large.'],
  415: ['UnreadableBody', 'The type, charset or encoding of the body cannot be read.'],
  422: ['KeyReused', 'As 409 with `idempotency_key_reused`, on a server that is set so.'],
  500: [
    'Failed',
    'Something went wrong. A request with a key may be sent again with the same key.',
  ],
  503: [
    'Unavailable',
    'Something this server depends on is away, or the outcome is not known yet. Send the same ' +
      'request again, with the same key.',
  ],
} as const;
type ErrorStatus = keyof typeof ERRORS;

/** Statuses whose responses have more headers in an operation that takes a key. */
const STATUSES_WITH_KEYED_VARIANT: ReadonlySet<number> = new Set([400, 404, 500, 503]);

/**
 * The responses of one operation.
 *
 * @param shared the responses that operations share; missing ones are added
 */
export function responsesOf(operation: DescribedOperation, shared: SharedResponses): Responses {
  const { responseSchema, otherResponses = {}, keyed } = operation;
  const errors = errorsOf(operation).map((status) => {
    const [name, meaning] = ERRORS[status];
    const headers = headersOf(status, keyed);
    const own = otherResponses[status];
    if (own) return [status, describeResponse(meaning, own.json, headers)];
    const sharedName = keyed && STATUSES_WITH_KEYED_VARIANT.has(status) ? `Keyed${name}` : name;
    shared[sharedName] = describeResponse(meaning, errorSchema.json, headers);
    return [status, { $ref: `#/components/responses/${sharedName}` }];
  });
  return {
    200: describeResponse('Done.', responseSchema.json, headersOf(200, keyed)),
    ...(Object.fromEntries(errors) as Responses),
  };
}

function errorsOf(operation: DescribedOperation): ErrorStatus[] {
  const { authenticated, declines = false, keyed, method, path } = operation;
  const has: Readonly<Record<ErrorStatus, boolean>> = {
    400: true,
    401: authenticated,
    402: declines,
    403: authenticated,
    404: path.includes('{'),
    409: keyed,
    413: method !== 'get',
    415: method !== 'get',
    422: keyed,
    500: true,
    503: true,
  };
  return (Object.keys(has).map(Number) as ErrorStatus[]).filter((status) => has[status]);
}

function headersOf(status: number, keyed: boolean): HeaderName[] {
  const headers: HeaderName[] = ['Request-Id', 'Stripe-Version'];
  if (status === 401) headers.push('WWW-Authenticate');
  if (status === 409 || status === 503) headers.push('Retry-After');
  // These errors come before the key is read.
  const toKey = keyed && ![401, 403, 413, 415].includes(status);
  if (status === 503 || toKey) headers.push('Stripe-Should-Retry');
  if (toKey) headers.push('Idempotency-Key', 'Original-Request');
  if (toKey && status < 500) headers.push('Idempotent-Replayed');
  return headers;
}

function describeResponse(description: string, schema: JsonSchema, headers: readonly HeaderName[]) {
  const refs = headers.map((name) => [name, { $ref: `#/components/headers/${name}` }]);
  return {
    description,
    headers: Object.fromEntries(refs) as Record<string, { $ref: string }>,
    content: { 'application/json': { schema } },
  };
}
