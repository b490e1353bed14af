/** R7a: nothing runs whose body cannot be compared, and no phased operation that could not be sent again. */
import { randomUUID } from 'node:crypto';
import { RecoveryJob } from '../../../src/idempotency';
import { eventually } from '../../support/eventually';
import { type Adapter, impersonated, type Shop } from '../shop.fixture';
import {
  countKeys,
  countOrders,
  noConnectionIsLentOut,
  noTransactionIsOpen,
} from '../shop-database.fixture';
import { addParsers, BodiesController, type RawRequest, sendRaw } from './bodies.fixture';
import { openEnhancedShop } from './enhanced-shop.fixture';

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const UNKNOWN = { 'content-type': 'application/x-unknown' };

describe.each<Adapter>(['fastify', 'express'])('R7a a body, on %s', (adapter) => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openEnhancedShop(adapter, {
      controllers: [BodiesController],
      configure: (app) => addParsers(app, adapter, 'unread'),
    });
  });
  afterAll(() => shop.close());
  afterEach(async () => {
    await noTransactionIsOpen(shop);
    await noConnectionIsLentOut(shop);
  });

  /** Refused with these words, twice; nothing is stored and nothing was done. */
  async function isRefused(path: string, sending: RawRequest, words: string): Promise<void> {
    const key = randomUUID();
    const [orders, calls] = [await countOrders(shop), shop.watch.remoteCalls.length];
    for (const _time of ['first', 'second']) {
      const refused = await sendRaw(shop, path, { ...sending, key });
      expect([refused.status, refused.text]).toEqual([415, expect.stringContaining(words)]);
      expect(JSON.parse(refused.text)).toMatchObject({ code: 'idempotency_body_unreadable' });
      expect(refused.headers).toMatchObject({
        'idempotency-key': key,
        'stripe-should-retry': 'false',
      });
    }
    expect(await countKeys(shop, key)).toBe(0);
    expect([await countOrders(shop), shop.watch.remoteCalls.length]).toEqual([orders, calls]);
  }

  /** Runs once, and is replayed to each of the others. */
  async function isOneRequest(path: string, ...sendings: RawRequest[]): Promise<string> {
    const key = randomUUID();
    const { runs } = shop.watch;
    const texts = new Set<string>();
    for (const [time, sending] of sendings.entries()) {
      const sent = await sendRaw(shop, path, { ...sending, key });
      expect([sent.status, sent.text]).toEqual([201, expect.anything()]);
      expect(sent.headers['idempotent-replayed']).toBe(time === 0 ? undefined : 'true');
      texts.add(sent.text);
    }
    expect([texts.size, shop.watch.runs]).toEqual([1, runs + 1]);
    return [...texts].join('');
  }

  /** The second is refused, and what differs is named. */
  async function differ(path: string, [a, b]: RawRequest[], name: string): Promise<void> {
    const key = randomUUID();
    expect((await sendRaw(shop, path, { ...a, key })).status).toBe(201);
    const other = await sendRaw(shop, path, { ...b, key });
    expect([other.status, other.text]).toEqual([422, expect.stringContaining(name)]);
  }

  it.each<[string, RawRequest]>([
    ['of a media type without a parser', { headers: UNKNOWN, chunks: ['a=1'] }],
    ['of known length', { headers: { ...UNKNOWN, 'content-length': '3' }, chunks: ['a=1'] }],
    ['of a form with files that nobody reads', { headers: multipart(), chunks: ['--x--'] }],
  ])('%s is refused where nobody read it before the key', async (_what, sending) => {
    await isRefused('/bodies/parsed', sending, 'was not read before');
    await isRefused('/bodies/stream', sending, 'was not read before');
  });

  it('that nobody read is let through where there is no key to compare it for', async () => {
    const sent = await sendRaw(shop, '/bodies/stream', { headers: UNKNOWN, chunks: ['a', 'b'] });
    expect([sent.status, JSON.parse(sent.text)]).toEqual([
      201,
      expect.objectContaining({ read: 'ab' }),
    ]);
  });

  it('without a byte is no body, however that is sent', async () => {
    await isOneRequest(
      '/bodies/parsed',
      {},
      { headers: { 'content-length': '0' } },
      { chunks: [] },
      { chunks: [] },
    );
    await isOneRequest(
      '/bodies/stream',
      { headers: UNKNOWN, chunks: [] },
      { headers: { ...UNKNOWN, 'content-length': '0' } },
    );
    await isOneRequest('/bodies/phased', {}, { headers: { 'content-length': '0' } });
  });

  it.each(['/bodies/digested', '/bodies/digested-later'])(
    'that the handler reads itself is what `fingerprint` says it is, at %s',
    async (path) => {
      const sending = (digest: string): RawRequest => ({
        headers: { ...UNKNOWN, 'x-digest': digest },
        chunks: ['from ', digest],
      });
      const first = await isOneRequest(path, sending('a'), sending('a'));
      expect(JSON.parse(first)).toMatchObject({ read: 'from a' });
      await differ(path, [sending('a'), sending('b')], '(fingerprint)');
      await isRefused(path, { headers: UNKNOWN, chunks: ['a'] }, 'was not read before');
    },
  );

  it('that nobody read is let through where the endpoint compares no bodies', async () => {
    const sending = (body: string): RawRequest => ({
      headers: { ...UNKNOWN, 'x-event': 'event-1' },
      chunks: [body],
    });
    const first = await isOneRequest('/bodies/received', sending('a'), sending('b'));
    expect(JSON.parse(first)).toMatchObject({ read: 'a' });
  });

  it('that was read takes part beside what `fingerprint` says', async () => {
    const sending = (digest: string, amount: number): RawRequest => ({
      headers: { 'content-type': 'application/json', 'x-digest': digest },
      chunks: [JSON.stringify({ amount })],
    });
    await differ('/bodies/phased-digested', [sending('a', 1), sending('a', 2)], 'in: amount.');
    await differ('/bodies/phased-digested', [sending('a', 1), sending('b', 1)], '(fingerprint)');
  });

  it.each<[string, string, RawRequest]>([
    [
      'unread, whatever `fingerprint` says',
      '/bodies/phased-digested',
      { headers: { ...UNKNOWN, 'x-digest': 'a' }, chunks: ['a'] },
    ],
    ['of a form, without its bytes', '/bodies/phased', { headers: FORM, chunks: ['a=1'] }],
    [
      'that JSON cannot write again',
      '/bodies/phased',
      { headers: { 'content-type': 'application/x-value' }, chunks: ['date a'] },
    ],
  ])('that is %s refuses a phased operation before it claims', async (_what, path, sending) => {
    await isRefused(path, sending, 'rawBody: true');
  });

  it('of JSON can be sent again without its bytes, so that a phased operation runs', async () => {
    const sending = { headers: { 'content-type': 'application/json' }, chunks: ['{"a":[1,"é"]}'] };
    await isOneRequest('/bodies/phased', sending, sending);
  });

  it.each(['bigint', 'map', 'set', 'date', 'query', 'buffer', 'floats', 'class'])(
    'with a %s in it is compared by value',
    async (kind) => {
      const sending = (which: string): RawRequest => ({
        headers: { 'content-type': 'application/x-value' },
        chunks: [`${kind} ${which}`],
      });
      await isOneRequest('/bodies/parsed', sending('a'), sending('a'));
      await differ('/bodies/parsed', [sending('a'), sending('b')], 'differs from it in');
    },
  );

  it.each([
    ['cycle', 'an object that contains itself'],
    ['function', 'a function'],
    ['symbol', 'a symbol'],
    ['promise', 'of type Promise'],
    ['nothing', 'nothing of it is in body, rawBody, file or files'],
  ])('with a %s in it is refused in words', async (kind, words) => {
    const headers = { 'content-type': 'application/x-value' };
    await isRefused('/bodies/parsed', { headers, chunks: [kind] }, words);
  });

  if (adapter === 'express') {
    it.each([
      ['application/x-nest-10', 'was not read before'],
      ['application/x-nest-10-read', 'nothing of it is in body'],
    ])('of type %s, for which Nest 10 leaves {}, is refused', async (type, words) => {
      const headers = { 'content-type': type };
      await isRefused('/bodies/parsed', { headers, chunks: ['a=1'] }, words);
      await isOneRequest('/bodies/parsed', { headers, chunks: [] }, { headers });
    });
  }
});

describe.each<Adapter>(['fastify', 'express'])(
  'R7a an application that keeps the bytes of bodies, on %s',
  (adapter) => {
    it('accepts forms on phased endpoints, and recovery sends the same form again', async () => {
      const shop = await openEnhancedShop(adapter, {
        controllers: [BodiesController],
        rawBody: true,
        options: { runAs: (scope, work) => impersonated.run(scope.account, work) },
        configure: (app) => addParsers(app, adapter, 'unread'),
      });
      try {
        const key = randomUUID();
        const sending = { key, headers: FORM, chunks: ['amount=1&note=%C3%A9'] };
        shop.watch.remote = () => Promise.reject(new Error('The far side is gone'));
        expect((await sendRaw(shop, '/bodies/phased', sending)).status).toBe(503);
        shop.watch.remote = () => Promise.resolve('approved');
        await eventually('recovery finishes the request', async () => {
          await shop.app.get(RecoveryJob).runOnce();
          return (await countOrders(shop)) === 1;
        });
        const replay = await sendRaw(shop, '/bodies/phased', sending);
        expect([replay.status, replay.headers['idempotent-replayed']]).toEqual([201, 'true']);
        expect(new Set(shop.watch.remoteCalls).size).toBe(1);
        const other = await sendRaw(shop, '/bodies/phased', { ...sending, chunks: ['amount=2'] });
        expect(other.status).toBe(422);
      } finally {
        await shop.close();
      }
    });
  },
);

function multipart(): Record<string, string> {
  return { 'content-type': 'multipart/form-data; boundary=x' };
}
