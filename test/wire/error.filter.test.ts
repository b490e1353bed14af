/** How errors become responses: status, headers and body. */
import { ServiceUnavailableException, type ArgumentsHost } from '@nestjs/common';
import { UnknownCursorError } from '../../src/database';
import {
  IdempotencyKeyInUseError,
  IdempotencyKeyMissingError,
  IdempotencyKeyReusedError,
  IdempotencyOutcomeUnknownError,
} from '../../src/idempotency';
import {
  AuthenticationError,
  idempotencyErrorResponse,
  RateLimitError,
  ResourceMissingError,
  WireErrorFilter,
} from '../../src/wire';

const reused = new IdempotencyKeyReusedError(['amount'], 'POST /v1/charges', 'req_1');

describe('an error as a response', () => {
  beforeEach(() => jest.spyOn(WireErrorFilter.prototype as never, 'log').mockImplementation());
  afterEach(() => jest.restoreAllMocks());

  function responseTo(thrown: unknown, headers: Record<string, string> = {}, sent = false) {
    const outgoing = { status: 0, headers: {} as Record<string, string>, body: '' };
    const reply = {
      sent,
      code: (status: number) => Object.assign(reply, void (outgoing.status = status)),
      headers: (more: object) => Object.assign(reply, void Object.assign(outgoing.headers, more)),
      header: (name: string, value: string) =>
        Object.assign(reply, void (outgoing.headers[name] = value)),
      send: (body: string) => void (outgoing.body = body),
    };
    const raw = { errored: null, complete: true };
    const request = { id: 'req_9', method: 'GET', url: '/v1/things?x=1', headers, raw };
    const http = { getRequest: () => request, getResponse: () => reply };
    const filter = new WireErrorFilter();
    // oxlint-disable-next-line promise/no-promise-in-callback -- a filter's catch, not a promise's
    filter.catch(thrown, { switchToHttp: () => http } as unknown as ArgumentsHost);
    const { error: body } = JSON.parse(outgoing.body || '{}') as { error: Record<string, unknown> };
    return { status: outgoing.status, headers: outgoing.headers, error: body };
  }

  it('is 404 for the object of the path and 400 for one that is referred to', () => {
    expect(responseTo(new ResourceMissingError('charge', 'ch_x'))).toMatchObject({
      status: 404,
      error: { code: 'resource_missing', param: 'id', message: "No such charge: 'ch_x'" },
    });
    expect(responseTo(new ResourceMissingError('charge', 'ch_x', 'charge'))).toMatchObject({
      status: 400,
      error: { code: 'resource_missing', param: 'charge' },
    });
    expect(
      responseTo(new UnknownCursorError('starting_after', 'pi_x', 'payment_intents')),
    ).toMatchObject({
      status: 400,
      error: { param: 'starting_after', message: "No such payment_intent: 'pi_x'" },
    });
  });

  it('is 401 with a challenge where the key is missing, and 429 with a pause where it is too much', () => {
    const { status, headers } = responseTo(new AuthenticationError('No API key.'));
    expect([status, headers['WWW-Authenticate']]).toEqual([401, 'Basic realm="paidonce"']);
    expect(responseTo(new RateLimitError('Slow down.', 2))).toMatchObject({
      status: 429,
      headers: { 'Retry-After': '2' },
      error: { type: 'rate_limit_error' },
    });
  });

  it('is 503 with Retry-After while the database is away or its pool is busy', () => {
    const lost = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    const busy = new Error('timeout exceeded when trying to connect');
    for (const error of [lost, busy]) {
      const outgoing = responseTo(error);
      expect(outgoing).toMatchObject({
        status: 503,
        headers: { 'Retry-After': '1' },
        error: { type: 'api_error', code: 'service_unavailable' },
      });
      expect(outgoing.error.message).toContain('could not take this request now');
      expect(JSON.stringify(outgoing)).not.toMatch(/ECONNREFUSED|timeout exceeded/);
    }
  });

  it('is logged here unless the idempotency module logs it, with its cause', () => {
    const log = jest.spyOn(WireErrorFilter.prototype as never, 'log');
    responseTo(new IdempotencyOutcomeUnknownError({ cause: new Error('write EPIPE') }));
    expect(log).not.toHaveBeenCalled();
    responseTo(new Error('unforeseen'));
    expect(log).toHaveBeenCalledTimes(1);
  });

  it.each([
    ['an Error', new Error('SELECT secret FROM vault')],
    ['a string', 'SELECT secret'],
    ['nothing', undefined],
    ['an object', { statusCode: 200, message: 'SELECT secret' }],
    ['an error with a status of its own', Object.assign(new Error('secret'), { statusCode: 400 })],
  ])('is 500 for %s that nobody foresaw, and tells nothing of it', (_, thrown) => {
    const { status, error } = responseTo(thrown);
    expect(status).toBe(500);
    expect(error.type).toBe('api_error');
    expect(error.message).toContain('req_9');
    expect(JSON.stringify(error)).not.toContain('secret');
  });

  it('keeps the status of an error of the framework', () => {
    const { status, error } = responseTo(new ServiceUnavailableException('draining'));
    expect([status, error.type]).toEqual([503, 'api_error']);
  });

  it('is not sent twice', () => {
    expect(responseTo(new Error('late'), {}, true).status).toBe(0);
  });

  describe('about an idempotency key', () => {
    const stripe = { 'stripe-version': '2020-08-27' };
    it.each([
      ['R7 reused', reused, stripe, 400, 'idempotency_error', 'idempotency_key_reused', 'false'],
      [
        'R7 reused, not an SDK',
        reused,
        {},
        409,
        'idempotency_error',
        'idempotency_key_reused',
        'false',
      ],
      [
        'R8 in use',
        new IdempotencyKeyInUseError(),
        {},
        409,
        'invalid_request_error',
        'idempotency_key_in_use',
        'true',
      ],
      [
        'R2 missing',
        new IdempotencyKeyMissingError(),
        {},
        400,
        'invalid_request_error',
        'idempotency_key_missing',
        'false',
      ],
      [
        'R12 unknown',
        new IdempotencyOutcomeUnknownError(),
        {},
        503,
        'api_error',
        'idempotency_outcome_unknown',
        'true',
      ],
    ] as const)(
      '%s has the status, type and code of the table',
      (_, error, headers, status, type, code, retry) => {
        const outgoing = idempotencyErrorResponse(error, { headers });
        expect(outgoing.status).toBe(status);
        expect(outgoing.headers['stripe-should-retry']).toBe(retry);
        const { error: body } = JSON.parse(outgoing.body.toString()) as { error: object };
        expect(body).toEqual({ type, code, message: error.message });
        expect(responseTo(error, headers)).toMatchObject({ status, error: body });
      },
    );

    it('has the status that is configured when it is reused', () => {
      expect(
        idempotencyErrorResponse(reused, { headers: stripe }, { reusedStatus: 422 }).status,
      ).toBe(422);
    });
  });
});
