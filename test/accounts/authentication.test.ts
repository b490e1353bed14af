/** API keys on requests: accepted, refused, revoked, looked up; and principals without a key. */
import { setTimeout as sleep } from 'node:timers/promises';
import Stripe from 'stripe';
import { AccountsService, runAs } from '../../src/accounts';
import { AccountsStore } from '../../src/accounts/accounts.store';
import { ApiKeyLookup } from '../../src/accounts/api-key-lookup';
import { type RunningApp, startApp } from '../support/app';

let app: RunningApp;

beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.close());

const listCustomers = (headers: Record<string, string>) =>
  fetch(`${app.url}/v1/customers`, { headers });
const basic = (user: string, password = '') =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

describe('the API key', () => {
  it.each([
    ['as Bearer', () => `Bearer ${app.apiKey}`],
    ['as bearer, since schemes have no case', () => `bearer ${app.apiKey}`],
    ['as the user name of Basic', () => basic(app.apiKey)],
    ['as the user name of Basic, whatever the password', () => basic(app.apiKey, 'x:y')],
  ])('%s is accepted', async (_, authorization) => {
    expect((await listCustomers({ authorization: authorization() })).status).toBe(200);
  });

  it.each([
    ['no header', undefined],
    ['an empty one', ''],
    ['a scheme without a key', 'Bearer'],
    ['another scheme', 'Digest username="x"'],
    ['Basic without a user name', basic('')],
    ['Basic that is no base64', 'Basic ***'],
  ])('%s is 401 in the envelope, and says what to send', async (_, authorization) => {
    const res = await listCustomers(authorization === undefined ? {} : { authorization });
    expect(res.status).toBe(401);
    expect(res.headers.get('www-authenticate')).toContain('Basic');
    expect(await res.json()).toEqual({
      error: {
        type: 'invalid_request_error',
        doc_url: `${app.url}/docs/errors#invalid_request_error`,
        message: expect.stringContaining('Authorization: Bearer sk_test_'),
      },
    });
  });

  it.each([
    ['never made', `sk_test_${'a'.repeat(43)}`],
    ['of a wrong length', 'sk_test_short'],
    ['of the other mode', 'live'],
    ['in another case', 'upper'],
    ['with an injection', "sk_test_' OR 1=1 --"],
  ])('one %s is 401 and is not repeated in full', async (_, wrong) => {
    const made = { live: app.apiKey.replace('test', 'live'), upper: app.apiKey.toUpperCase() };
    const key = wrong in made ? made[wrong as keyof typeof made] : wrong;
    const res = await listCustomers({ authorization: basic(key) });
    expect(res.status).toBe(401);
    expect(await res.text()).not.toContain(key);
  });

  it('is refused by the SDK as an authentication error', async () => {
    const stripe = app.stripe({ apiKey: 'sk_test_wrong', maxNetworkRetries: 0 });
    await expect(stripe.customers.list()).rejects.toThrow(Stripe.errors.StripeAuthenticationError);
  });

  it('does not act for connected accounts: 403', async () => {
    const stripe = app.stripe({ stripeAccount: 'acct_1', maxNetworkRetries: 0 });
    await expect(stripe.customers.list()).rejects.toThrow(Stripe.errors.StripePermissionError);
  });

  it('is refused at most a second after it was revoked by another process', async () => {
    const key = await app.createKey('leaver');
    const authorization = `Bearer ${key}`;
    expect((await listCustomers({ authorization })).status).toBe(200);
    const other = await startApp({ databaseUrl: app.databaseUrl });
    try {
      const accounts = other.app.get(AccountsService);
      const [{ id } = { id: '' }] = await accounts.listKeys('leaver');
      await accounts.revokeKey('leaver', id);
    } finally {
      await other.close();
    }
    const revokedAt = performance.now();
    for (;;) {
      const sentAt = performance.now();
      if ((await listCustomers({ authorization })).status === 401) break;
      // A request may take long to arrive: it counts when it was sent.
      expect(sentAt - revokedAt).toBeLessThan(1_000);
      await sleep(20);
    }
  });

  it('is refused at once by the process that revoked it', async () => {
    const key = await app.createKey('quitter');
    const authorization = `Bearer ${key}`;
    expect((await listCustomers({ authorization })).status).toBe(200);
    const accounts = app.app.get(AccountsService);
    const [{ id } = { id: '' }] = await accounts.listKeys('quitter');
    expect(await accounts.revokeKey('quitter', id)).toBe(true);
    expect((await listCustomers({ authorization })).status).toBe(401);
  });

  it('is looked up once for a hundred requests that arrive together', async () => {
    const key = await app.createKey('crowd');
    const accounts = app.app.get(AccountsService);
    const principals = Array.from({ length: 100 }, () => accounts.authenticate(key));
    expect(new Set(principals).size).toBe(1);
    await Promise.all(principals);
  });

  it('is looked up with all other waiting keys, in one statement at a time', async () => {
    const key = await app.createKey('patient');
    const accounts = app.app.get(AccountsService);
    const statements = jest.spyOn(app.app.get(AccountsStore), 'principalsOf');
    const madeUp = Array.from(
      { length: 1_500 },
      (_, n) => `sk_test_${String(n).padStart(43, 'z')}`,
    );
    const found = await Promise.all(
      [...madeUp, key, ...madeUp].map((k) => accounts.authenticate(k)),
    );
    expect(found.filter(Boolean)).toEqual([expect.objectContaining({ account: 'patient' })]);
    // The first alone, then the keys that came meanwhile, at most a thousand at once.
    expect(statements.mock.calls.map(([hashes]) => hashes.length)).toEqual([1, 1_000, 500]);
    statements.mockRestore();
  });

  it('is not looked up again while it is cached, and made-up keys do not evict it', async () => {
    const lookup = new ApiKeyLookup((hashes) => {
      lookedUp.push(...hashes);
      const known = { account: 'shop', livemode: false, apiKey: 'key_1' };
      return Promise.resolve(new Map(hashes.includes('valid') ? [['valid', known]] : []));
    });
    const lookedUp: string[] = [];
    const start = performance.now();
    const clock = jest.spyOn(performance, 'now').mockReturnValue(start);
    expect(await lookup.principalOf('valid')).toMatchObject({ account: 'shop' });
    const madeUp = Array.from({ length: 25_000 }, (_, n) => `made up ${n}`);
    await Promise.all(madeUp.map((hash) => lookup.principalOf(hash)));
    expect(lookedUp).toHaveLength(25_001);
    await Promise.all(['valid', 'made up 24999'].map((hash) => lookup.principalOf(hash)));
    expect(lookedUp).toHaveLength(25_001);
    // At most ten thousand unknown keys are cached.
    await lookup.principalOf('made up 0');
    expect(lookedUp).toHaveLength(25_002);
    clock.mockReturnValue(start + 1_001);
    await sleep(20); // the cache reads the clock once a millisecond
    await Promise.all(['valid', 'made up 24999'].map((hash) => lookup.principalOf(hash)));
    expect(lookedUp).toHaveLength(25_004);
    clock.mockRestore();
  });

  it('is not cached if it was revoked during the look-up, and is cached from its start on', async () => {
    const known = { account: 'shop', livemode: false, apiKey: 'key_1' };
    let statements = 0;
    let endStatement = () => undefined as void;
    const lookup = new ApiKeyLookup(async () => {
      statements += 1;
      await new Promise<void>((resolve) => (endStatement = resolve));
      return new Map([['valid', known]]);
    });
    const lookUp = async (meanwhile: () => void) => {
      const found = lookup.principalOf('valid');
      meanwhile();
      endStatement();
      return found;
    };
    await lookUp(() => lookup.clearCache());
    await lookUp(() => undefined);
    expect(statements).toBe(2);
    await lookup.principalOf('valid');
    expect(statements).toBe(2);

    lookup.clearCache();
    const start = performance.now();
    const clock = jest.spyOn(performance, 'now').mockReturnValue(start);
    await lookUp(() => clock.mockReturnValue(start + 900));
    clock.mockReturnValue(start + 1_001);
    await sleep(20); // the cache reads the clock once a millisecond
    await lookUp(() => undefined);
    expect(statements).toBe(4);
    clock.mockRestore();
  });

  it('is looked up again after a statement that failed', async () => {
    let fails = true;
    const known = { account: 'shop', livemode: false, apiKey: 'key_1' };
    const lookup = new ApiKeyLookup((hashes) =>
      fails ? Promise.reject(new Error('away')) : Promise.resolve(new Map([[hashes[0]!, known]])),
    );
    await expect(lookup.principalOf('valid')).rejects.toThrow('away');
    fails = false;
    expect(await lookup.principalOf('valid')).toBe(known);
  });

  it('is in the database only as a hash and a hint', async () => {
    const key = await app.createKey('secret');
    const [row] = await app.app.get(AccountsService).listKeys('secret');
    expect(row?.hint).toBe(key.slice(-4));
    expect(JSON.stringify(row)).not.toContain(key.slice(8, -4));
    expect(row?.hash).toHaveLength(32);
  });

  it('is not needed for health', async () => {
    expect((await fetch(`${app.url}/health`)).status).not.toBe(401);
  });
});

describe('a principal without a key', () => {
  const principal = { account: 'shop', livemode: false, apiKey: 'key_internal' };

  it('is the principal of injected requests', async () => {
    const res = await runAs(principal, async () =>
      app.app.inject({ method: 'GET', url: '/v1/customers' }),
    );
    expect(res.statusCode).toBe(200);
  });

  it('is not the principal of requests from a socket meanwhile', async () => {
    const res = await runAs(principal, () => listCustomers({}));
    expect(res.status).toBe(401);
  });

  it('ends with its work', async () => {
    await runAs(principal, () => Promise.resolve());
    const res = await app.app.inject({ method: 'GET', url: '/v1/customers' });
    expect(res.statusCode).toBe(401);
  });
});
