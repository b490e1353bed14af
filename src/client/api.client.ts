/** A client of a paidonce server, typed by the OpenAPI document of that server. */
import createOpenApiClient, { type Client as OpenApiClient } from 'openapi-fetch';
import { ApiError, type AnswerReport, reportOf } from './api.error';
import { ApiList, type Page, type PageParams } from './api.list';
import { newKey } from './key.memory';
import type { paths } from './openapi.types';
import type { RetryOptions } from './retry.options';
import { createRetryingFetch } from './retrying.fetch';

/** Options of a client; those of the retrying fetch among them. */
export interface ClientOptions extends RetryOptions {
  /** Where the server is, e.g. `http://127.0.0.1:3000`. */
  readonly baseUrl: string;
  /** `sk_test_…` or `sk_live_…`. */
  readonly apiKey: string;
}

/** Options of a single call. */
export interface CallOptions {
  /** Ends the call, between two attempts too. What was sent may have been carried out. */
  readonly signal?: AbortSignal;
}

/** Options of a call that changes something. */
export interface WriteOptions extends CallOptions {
  /**
   * Names the operation, 1 to 255 characters: an order's id, say. With the same key the same call is
   * carried out once, also by another process. Default: a new UUID, which covers the retries of this
   * call alone.
   */
  readonly idempotencyKey?: string;
}

/** The client that `createClient` makes. */
export type Client = ReturnType<typeof createClient>;

type Resolved<M extends (id: string) => Promise<unknown>> = Awaited<ReturnType<M>>;
export type PaymentIntent = Resolved<Client['payments']['retrieve']>;
/** `'deleted' in customer` tells one that was deleted. */
export type Customer = Resolved<Client['customers']['retrieve']>;
export type Charge = Resolved<Client['charges']['retrieve']>;
export type Refund = Resolved<Client['refunds']['retrieve']>;
export type PaymentMethod = Resolved<Client['paymentMethods']['retrieve']>;
export type IdempotencyKey = Resolved<Client['idempotencyKeys']['retrieve']>;

type Body<P extends keyof paths> = paths[P] extends {
  post: { requestBody?: { content: { 'application/json': infer B } } };
}
  ? B
  : never;
type Query<P extends keyof paths> = paths[P] extends { get: { parameters: { query?: infer Q } } }
  ? NonNullable<Q>
  : never;
type Api = OpenApiClient<paths>;

/**
 * A client that may repeat any of its calls: every change carries an idempotency key, the same on each
 * attempt, and is retried as `createRetryingFetch` says. Its state is in the instance: make one for each
 * server, and use it for all calls.
 *
 * Every method rejects with an `ApiError` for an answer from 400 on, and with a `RetryError` where there
 * was no answer. It uses web standards alone and runs in Node and in a browser, where an API key should
 * not be.
 *
 * @throws TypeError or RangeError for an option that is missing, unknown or out of bounds
 * @example
 * const client = createClient({ baseUrl: 'http://127.0.0.1:3000', apiKey: 'sk_test_…' });
 * const payment = await client.payments.create(
 *   { amount: 2000, currency: 'usd', payment_method: 'pm_card_visa', confirm: true },
 *   { idempotencyKey: 'order-1' },
 * );
 * for await (const { id, status } of client.payments.list()) console.log(id, status);
 */
export function createClient({ baseUrl, apiKey, ...retries }: ClientOptions) {
  if (typeof apiKey !== 'string' || apiKey === '') {
    throw new TypeError('createClient needs an apiKey, such as sk_test_….');
  }
  if (!URL.canParse(baseUrl)) {
    throw new TypeError(`baseUrl must be a URL such as http://127.0.0.1:3000, not ${baseUrl}.`);
  }
  const api = createOpenApiClient<paths>({
    baseUrl,
    fetch: createRetryingFetch(retries),
    headers: { authorization: `Bearer ${apiKey}` },
    querySerializer,
  });
  return {
    payments: payments(api),
    customers: customers(api),
    charges: charges(api),
    refunds: refunds(api),
    paymentMethods: paymentMethods(api),
    idempotencyKeys: idempotencyKeys(api),
  };
}

/** How an object that a client returned came about: its request, its key, whether it was a replay. */
export function answerReport(answer: object): AnswerReport | undefined {
  return reports.get(answer);
}

const reports = new WeakMap<object, AnswerReport>();

/** Payment intents: what a buyer is to pay, from the order to the money. */
function payments(api: Api) {
  return {
    /** With `confirm: true` the payment method is charged at once. */
    create: (params: Body<'/v1/payment_intents'>, options?: WriteOptions) =>
      answered(api.POST('/v1/payment_intents', { ...write(options), body: params })),
    retrieve: (id: string, params?: Query<'/v1/payment_intents/{id}'>, options?: CallOptions) =>
      answered(api.GET('/v1/payment_intents/{id}', read(options, params, { id }))),
    update: (id: string, params: Body<'/v1/payment_intents/{id}'>, options?: WriteOptions) =>
      answered(api.POST('/v1/payment_intents/{id}', { ...write(options, { id }), body: params })),
    /** Charges the payment method. */
    confirm: (
      id: string,
      params?: Body<'/v1/payment_intents/{id}/confirm'>,
      options?: WriteOptions,
    ) =>
      answered(
        api.POST('/v1/payment_intents/{id}/confirm', { ...write(options, { id }), body: params }),
      ),
    /** Takes what was authorised, all of it or `amount_to_capture`. */
    capture: (
      id: string,
      params?: Body<'/v1/payment_intents/{id}/capture'>,
      options?: WriteOptions,
    ) =>
      answered(
        api.POST('/v1/payment_intents/{id}/capture', { ...write(options, { id }), body: params }),
      ),
    /** Gives up a payment that is not made, and releases what it holds. */
    cancel: (
      id: string,
      params?: Body<'/v1/payment_intents/{id}/cancel'>,
      options?: WriteOptions,
    ) =>
      answered(
        api.POST('/v1/payment_intents/{id}/cancel', { ...write(options, { id }), body: params }),
      ),
    /** Await it for a page, iterate over it for all. */
    list: (params: Query<'/v1/payment_intents'> = {}, options?: CallOptions) =>
      list(params, (from) =>
        answered(api.GET('/v1/payment_intents', read(options, { ...params, ...from }))),
      ),
  };
}

/** Customers: who pays. */
function customers(api: Api) {
  return {
    create: (params?: Body<'/v1/customers'>, options?: WriteOptions) =>
      answered(api.POST('/v1/customers', { ...write(options), body: params })),
    /** Of a customer that was deleted, `{ id, object, deleted: true }` is left. */
    retrieve: (id: string, params?: Query<'/v1/customers/{id}'>, options?: CallOptions) =>
      answered(api.GET('/v1/customers/{id}', read(options, params, { id }))),
    update: (id: string, params: Body<'/v1/customers/{id}'>, options?: WriteOptions) =>
      answered(api.POST('/v1/customers/{id}', { ...write(options, { id }), body: params })),
    delete: (id: string, options?: WriteOptions) =>
      // The retrying fetch gives a DELETE no key, and a second one would find no customer.
      answered(
        api.DELETE('/v1/customers/{id}', write({ idempotencyKey: newKey(), ...options }, { id })),
      ),
    /** Await it for a page, iterate over it for all. */
    list: (params: Query<'/v1/customers'> = {}, options?: CallOptions) =>
      list(params, (from) =>
        answered(api.GET('/v1/customers', read(options, { ...params, ...from }))),
      ),
    /** The payment methods of one customer. Await it for a page, iterate over it for all. */
    listPaymentMethods: (
      customer: string,
      params: Query<'/v1/customers/{customer}/payment_methods'> = {},
      options?: CallOptions,
    ) =>
      list(params, (from) =>
        answered(
          api.GET(
            '/v1/customers/{customer}/payment_methods',
            read(options, { ...params, ...from }, { customer }),
          ),
        ),
      ),
  };
}

/** Charges: each attempt to take money from a card. */
function charges(api: Api) {
  return {
    /** Takes money without a payment intent; `capture: false` only authorises. */
    create: (params: Body<'/v1/charges'>, options?: WriteOptions) =>
      answered(api.POST('/v1/charges', { ...write(options), body: params })),
    retrieve: (id: string, params?: Query<'/v1/charges/{id}'>, options?: CallOptions) =>
      answered(api.GET('/v1/charges/{id}', read(options, params, { id }))),
    update: (id: string, params: Body<'/v1/charges/{id}'>, options?: WriteOptions) =>
      answered(api.POST('/v1/charges/{id}', { ...write(options, { id }), body: params })),
    /** Takes what was authorised, all of it or `amount`. */
    capture: (id: string, params?: Body<'/v1/charges/{id}/capture'>, options?: WriteOptions) =>
      answered(api.POST('/v1/charges/{id}/capture', { ...write(options, { id }), body: params })),
    /** Await it for a page, iterate over it for all. */
    list: (params: Query<'/v1/charges'> = {}, options?: CallOptions) =>
      list(params, (from) =>
        answered(api.GET('/v1/charges', read(options, { ...params, ...from }))),
      ),
  };
}

/** Refunds: money that goes back. */
function refunds(api: Api) {
  return {
    /** Of a `payment_intent` or a `charge`: all that is left, or `amount`. */
    create: (params: Body<'/v1/refunds'>, options?: WriteOptions) =>
      answered(api.POST('/v1/refunds', { ...write(options), body: params })),
    retrieve: (id: string, params?: Query<'/v1/refunds/{id}'>, options?: CallOptions) =>
      answered(api.GET('/v1/refunds/{id}', read(options, params, { id }))),
    update: (id: string, params: Body<'/v1/refunds/{id}'>, options?: WriteOptions) =>
      answered(api.POST('/v1/refunds/{id}', { ...write(options, { id }), body: params })),
    cancel: (id: string, params?: Body<'/v1/refunds/{id}/cancel'>, options?: WriteOptions) =>
      answered(api.POST('/v1/refunds/{id}/cancel', { ...write(options, { id }), body: params })),
    /** Await it for a page, iterate over it for all. */
    list: (params: Query<'/v1/refunds'> = {}, options?: CallOptions) =>
      list(params, (from) =>
        answered(api.GET('/v1/refunds', read(options, { ...params, ...from }))),
      ),
  };
}

/** Payment methods: tokens of cards, and what may be shown of the cards. */
function paymentMethods(api: Api) {
  return {
    retrieve: (id: string, params?: Query<'/v1/payment_methods/{id}'>, options?: CallOptions) =>
      answered(api.GET('/v1/payment_methods/{id}', read(options, params, { id }))),
    /** @param id of a payment method, or in the sandbox a token such as `pm_card_visa` */
    attach: (id: string, params: Body<'/v1/payment_methods/{id}/attach'>, options?: WriteOptions) =>
      answered(
        api.POST('/v1/payment_methods/{id}/attach', { ...write(options, { id }), body: params }),
      ),
    detach: (
      id: string,
      params?: Body<'/v1/payment_methods/{id}/detach'>,
      options?: WriteOptions,
    ) =>
      answered(
        api.POST('/v1/payment_methods/{id}/detach', { ...write(options, { id }), body: params }),
      ),
    /** Await it for a page, iterate over it for all. */
    list: (params: Query<'/v1/payment_methods'> = {}, options?: CallOptions) =>
      list(params, (from) =>
        answered(api.GET('/v1/payment_methods', read(options, { ...params, ...from }))),
      ),
  };
}

function idempotencyKeys(api: Api) {
  return {
    /**
     * Was my request carried out? An `ApiError` with the status 404 says that no request with this key
     * is known.
     */
    retrieve: (key: string, options?: CallOptions) =>
      answered(api.GET('/v1/idempotency_keys/{key}', read(options, undefined, { key }))),
  };
}

function read<Q, P extends PathParams = undefined>(options?: CallOptions, query?: Q, path?: P) {
  return { params: { query, path: checked(path) as P }, signal: options?.signal };
}

function write<P extends PathParams = undefined>(options?: WriteOptions, path?: P) {
  // Where the caller gives no key, the retrying fetch makes one.
  const header = { 'Idempotency-Key': options?.idempotencyKey as string };
  return { params: { header, path: checked(path) as P }, signal: options?.signal };
}

type PathParams = Readonly<Record<string, string>> | undefined;

/** @throws TypeError for an id that would lead to another path */
function checked<P extends PathParams>(path: P): P {
  for (const [name, value] of Object.entries(path ?? {})) {
    if (typeof value !== 'string' || /^\.{0,2}$/.test(value)) {
      throw new TypeError(`${name} must be an id, not ${JSON.stringify(value)}.`);
    }
  }
  return path;
}

function list<P extends Page<{ readonly id: string }>>(
  { ending_before }: PageParams,
  fetchPage: (from: PageParams) => Promise<P>,
): ApiList<P['data'][number]> {
  return new ApiList<P['data'][number]>(fetchPage, ending_before !== undefined);
}

interface Answered {
  readonly data?: unknown;
  readonly error?: unknown;
  readonly response: Response;
}

/** @throws ApiError */
async function answered<A extends Answered>(call: Promise<A>): Promise<NonNullable<A['data']>> {
  const { data, error, response } = await call;
  if (!response.ok || typeof data !== 'object' || data === null) {
    throw new ApiError(response.status, response, error);
  }
  reports.set(data, reportOf(response));
  return data;
}

type Scalar = string | number | boolean;
type QueryValue = Scalar | readonly Scalar[] | Readonly<Record<string, Scalar>> | null | undefined;

/** Lists as `expand[]=…`, hashes as `created[gt]=…`: how the server reads a query. */
function querySerializer(query: Readonly<Record<string, unknown>>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query as Record<string, QueryValue>)) {
    for (const [key, entry] of pairsOf(name, value)) {
      if (entry !== undefined && entry !== null) search.append(key, String(entry));
    }
  }
  return search.toString();
}

function pairsOf(name: string, value: QueryValue): [string, Scalar | null | undefined][] {
  if (typeof value !== 'object' || value === null) return [[name, value]];
  if (Array.isArray(value)) return value.map((entry: Scalar) => [`${name}[]`, entry]);
  return Object.entries(value).map(([key, entry]) => [`${name}[${key}]`, entry]);
}
