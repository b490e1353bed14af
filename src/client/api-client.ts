/** A client of a paidonce server, typed by the OpenAPI document of that server. */
import createOpenApiClient, { type Client as OpenApiClient } from 'openapi-fetch';
import { ApiError, type ResponseReport, reportOf } from './api.errors';
import { ApiList, type Page, type PageParams } from './api-list';
import type { paths } from './openapi.types';
import type { RetryOptions } from './retry.options';
import { createRetryingFetch } from './retrying-fetch';
import { newKey } from './web-crypto';

/** Options of a client; those of the retrying fetch among them. */
export interface ClientOptions extends RetryOptions {
  /** Where the server is, e.g. `http://127.0.0.1:3000`. */
  readonly baseUrl: string;
  /** `sk_test_…` or `sk_live_…`. */
  readonly apiKey: string;
}

/** Options of a single call. */
export interface CallOptions {
  /** Ends the call, during a pause too. A request that was sent may have been carried out. */
  readonly signal?: AbortSignal;
}

/** Options of a call that changes something. */
export interface WriteOptions extends CallOptions {
  /**
   * Names the operation, 1 to 255 characters: an order's id, say. The same call with the same key is
   * carried out once, from other processes too. Default: a new UUID, which covers the retries of this
   * call alone.
   */
  readonly idempotencyKey?: string;
}

/** The client that `createClient` makes. */
export type Client = ReturnType<typeof createClient>;

type Resolved<M extends (id: string) => Promise<unknown>> = Awaited<ReturnType<M>>;
export type PaymentIntent = Resolved<Client['payments']['retrieve']>;
/** A deleted customer has the property `deleted`: `'deleted' in customer`. */
export type Customer = Resolved<Client['customers']['retrieve']>;
export type Charge = Resolved<Client['charges']['retrieve']>;
export type Refund = Resolved<Client['refunds']['retrieve']>;
export type PaymentMethod = Resolved<Client['paymentMethods']['retrieve']>;
export type IdempotencyKey = Resolved<Client['idempotencyKeys']['retrieve']>;

type RequestBody<P extends keyof paths> = paths[P] extends {
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
 * Every method rejects with an `ApiError` for a response with a status from 400 on, and with a `RetryError`
 * where there was no response. It uses web standards alone and runs in Node and in a browser, where an API
 * key should not be.
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

/** The report of the response that an object came in: its request, its key, whether it was a replay. */
export function responseReport(object: object): ResponseReport | undefined {
  return reports.get(object);
}

const reports = new WeakMap<object, ResponseReport>();

/** Payment intents: payments from the order to the money. */
function payments(api: Api) {
  return {
    /** With `confirm: true` the payment method is charged at once. */
    create: (params: RequestBody<'/v1/payment_intents'>, options?: WriteOptions) =>
      unwrap(api.POST('/v1/payment_intents', { ...write(options), body: params })),
    retrieve: (id: string, params?: Query<'/v1/payment_intents/{id}'>, options?: CallOptions) =>
      unwrap(api.GET('/v1/payment_intents/{id}', read(options, params, { id }))),
    update: (id: string, params: RequestBody<'/v1/payment_intents/{id}'>, options?: WriteOptions) =>
      unwrap(api.POST('/v1/payment_intents/{id}', { ...write(options, { id }), body: params })),
    /** Charges the payment method. */
    confirm: (
      id: string,
      params?: RequestBody<'/v1/payment_intents/{id}/confirm'>,
      options?: WriteOptions,
    ) =>
      unwrap(
        api.POST('/v1/payment_intents/{id}/confirm', { ...write(options, { id }), body: params }),
      ),
    /** Captures the authorised amount, or `amount_to_capture` of it. */
    capture: (
      id: string,
      params?: RequestBody<'/v1/payment_intents/{id}/capture'>,
      options?: WriteOptions,
    ) =>
      unwrap(
        api.POST('/v1/payment_intents/{id}/capture', { ...write(options, { id }), body: params }),
      ),
    /** Cancels a payment that was not made, and releases the amount it holds. */
    cancel: (
      id: string,
      params?: RequestBody<'/v1/payment_intents/{id}/cancel'>,
      options?: WriteOptions,
    ) =>
      unwrap(
        api.POST('/v1/payment_intents/{id}/cancel', { ...write(options, { id }), body: params }),
      ),
    /** Await it for a page, iterate over it for all. */
    list: (params: Query<'/v1/payment_intents'> = {}, options?: CallOptions) =>
      list(params, (from) =>
        unwrap(api.GET('/v1/payment_intents', read(options, { ...params, ...from }))),
      ),
  };
}

/** Customers, and their payment methods. */
function customers(api: Api) {
  return {
    create: (params?: RequestBody<'/v1/customers'>, options?: WriteOptions) =>
      unwrap(api.POST('/v1/customers', { ...write(options), body: params })),
    /** A deleted customer is `{ id, object, deleted: true }`. */
    retrieve: (id: string, params?: Query<'/v1/customers/{id}'>, options?: CallOptions) =>
      unwrap(api.GET('/v1/customers/{id}', read(options, params, { id }))),
    update: (id: string, params: RequestBody<'/v1/customers/{id}'>, options?: WriteOptions) =>
      unwrap(api.POST('/v1/customers/{id}', { ...write(options, { id }), body: params })),
    delete: (id: string, options?: WriteOptions) =>
      // Without a key, a repeated DELETE would get a 404. The retrying fetch gives DELETE none.
      unwrap(
        api.DELETE('/v1/customers/{id}', write({ idempotencyKey: newKey(), ...options }, { id })),
      ),
    /** Await it for a page, iterate over it for all. */
    list: (params: Query<'/v1/customers'> = {}, options?: CallOptions) =>
      list(params, (from) =>
        unwrap(api.GET('/v1/customers', read(options, { ...params, ...from }))),
      ),
    /** The payment methods of one customer. Await it for a page, iterate over it for all. */
    listPaymentMethods: (
      customer: string,
      params: Query<'/v1/customers/{customer}/payment_methods'> = {},
      options?: CallOptions,
    ) =>
      list(params, (from) =>
        unwrap(
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
    create: (params: RequestBody<'/v1/charges'>, options?: WriteOptions) =>
      unwrap(api.POST('/v1/charges', { ...write(options), body: params })),
    retrieve: (id: string, params?: Query<'/v1/charges/{id}'>, options?: CallOptions) =>
      unwrap(api.GET('/v1/charges/{id}', read(options, params, { id }))),
    update: (id: string, params: RequestBody<'/v1/charges/{id}'>, options?: WriteOptions) =>
      unwrap(api.POST('/v1/charges/{id}', { ...write(options, { id }), body: params })),
    /** Captures the authorised amount, or `amount` of it. */
    capture: (
      id: string,
      params?: RequestBody<'/v1/charges/{id}/capture'>,
      options?: WriteOptions,
    ) => unwrap(api.POST('/v1/charges/{id}/capture', { ...write(options, { id }), body: params })),
    /** Await it for a page, iterate over it for all. */
    list: (params: Query<'/v1/charges'> = {}, options?: CallOptions) =>
      list(params, (from) => unwrap(api.GET('/v1/charges', read(options, { ...params, ...from })))),
  };
}

/** Refunds: money that goes back. */
function refunds(api: Api) {
  return {
    /** Refunds a `payment_intent` or a `charge`: all that is left of it, or `amount`. */
    create: (params: RequestBody<'/v1/refunds'>, options?: WriteOptions) =>
      unwrap(api.POST('/v1/refunds', { ...write(options), body: params })),
    retrieve: (id: string, params?: Query<'/v1/refunds/{id}'>, options?: CallOptions) =>
      unwrap(api.GET('/v1/refunds/{id}', read(options, params, { id }))),
    update: (id: string, params: RequestBody<'/v1/refunds/{id}'>, options?: WriteOptions) =>
      unwrap(api.POST('/v1/refunds/{id}', { ...write(options, { id }), body: params })),
    cancel: (id: string, params?: RequestBody<'/v1/refunds/{id}/cancel'>, options?: WriteOptions) =>
      unwrap(api.POST('/v1/refunds/{id}/cancel', { ...write(options, { id }), body: params })),
    /** Await it for a page, iterate over it for all. */
    list: (params: Query<'/v1/refunds'> = {}, options?: CallOptions) =>
      list(params, (from) => unwrap(api.GET('/v1/refunds', read(options, { ...params, ...from })))),
  };
}

/** Payment methods: tokens of cards, and their brand, last four digits and expiry. */
function paymentMethods(api: Api) {
  return {
    retrieve: (id: string, params?: Query<'/v1/payment_methods/{id}'>, options?: CallOptions) =>
      unwrap(api.GET('/v1/payment_methods/{id}', read(options, params, { id }))),
    /** @param id of a payment method, or in the sandbox a token such as `pm_card_visa` */
    attach: (
      id: string,
      params: RequestBody<'/v1/payment_methods/{id}/attach'>,
      options?: WriteOptions,
    ) =>
      unwrap(
        api.POST('/v1/payment_methods/{id}/attach', { ...write(options, { id }), body: params }),
      ),
    detach: (
      id: string,
      params?: RequestBody<'/v1/payment_methods/{id}/detach'>,
      options?: WriteOptions,
    ) =>
      unwrap(
        api.POST('/v1/payment_methods/{id}/detach', { ...write(options, { id }), body: params }),
      ),
    /** Await it for a page, iterate over it for all. */
    list: (params: Query<'/v1/payment_methods'> = {}, options?: CallOptions) =>
      list(params, (from) =>
        unwrap(api.GET('/v1/payment_methods', read(options, { ...params, ...from }))),
      ),
  };
}

/** Idempotency keys: the state of a request by its key. */
function idempotencyKeys(api: Api) {
  return {
    /**
     * Tells whether a request was carried out. It rejects with an `ApiError` of status 404 where the server
     * knows no request with this key.
     */
    retrieve: (key: string, options?: CallOptions) =>
      unwrap(api.GET('/v1/idempotency_keys/{key}', read(options, undefined, { key }))),
  };
}

function read<Q, P extends PathParams = undefined>(options?: CallOptions, query?: Q, path?: P) {
  return { params: { query, path: assertIds(path) as P }, signal: options?.signal };
}

function write<P extends PathParams = undefined>(options?: WriteOptions, path?: P) {
  // Where the caller gives no key, the retrying fetch makes one.
  const header = { 'Idempotency-Key': options?.idempotencyKey as string };
  return { params: { header, path: assertIds(path) as P }, signal: options?.signal };
}

type PathParams = Readonly<Record<string, string>> | undefined;

/** @throws TypeError for an id that is no string, or that would change the path */
function assertIds<P extends PathParams>(path: P): P {
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

interface ApiResult {
  readonly data?: unknown;
  readonly error?: unknown;
  readonly response: Response;
}

/**
 * The object in a response.
 *
 * @throws ApiError
 */
async function unwrap<A extends ApiResult>(call: Promise<A>): Promise<NonNullable<A['data']>> {
  const { data, error, response } = await call;
  if (!response.ok || typeof data !== 'object' || data === null) {
    throw new ApiError(response.status, response, error);
  }
  reports.set(data, reportOf(response));
  return data;
}

type Scalar = string | number | boolean;
type QueryValue = Scalar | readonly Scalar[] | Readonly<Record<string, Scalar>> | null | undefined;

/** Writes lists as `expand[]=…` and hashes as `created[gt]=…`, as the server reads them. */
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
