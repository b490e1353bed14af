/** The COMMIT of a handler fails, or its reply is lost (R14, R21). */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { TcpProxy } from '../../support/tcp-proxy';
import type { Shop } from '../shop.fixture';
import { countKeys, countOrders } from '../shop-database.fixture';
import { endLease, expectUnavailable, FailingDatabase, SETTINGS } from './failing-database.fixture';
import { createRiskyTables, RiskyController } from './risky-handlers.fixture';

describe.each(SETTINGS)('a COMMIT that fails on %s, pipelined: %s', (...setting) => {
  let database: FailingDatabase;
  let witness: Shop;
  let proxy: TcpProxy;
  let shop: Shop;
  beforeAll(async () => {
    database = await FailingDatabase.start(setting, { controllers: [RiskyController] });
    ({ witness, proxy, shop } = database);
    await createRiskyTables(witness);
  });
  afterEach(() => database.recover());
  afterAll(() => database.stop());

  it('R21 a COMMIT that was executed, and whose reply was lost, is resolved: the one true response', async () => {
    const key = randomUUID();
    const [before, { runs }] = [await countOrders(witness), shop.watch];
    proxy.onNextCommit('lose its reply');
    const first = await shop.post('/orders', { amount: 1 }, key);
    expect(proxy.commitSeen).toBe(true);
    expect([first.status, first.headers.get('idempotent-replayed')]).toEqual([201, null]);
    expect(first.headers.get('stripe-should-retry')).toBe('false');
    const replay = await shop.post('/orders', { amount: 1 }, key);
    expect(replay.text).toBe(first.text);
    expect(replay.headers.get('idempotent-replayed')).toBe('true');
    expect([await countOrders(witness), shop.watch.runs]).toEqual([before + 1, runs + 1]);
  });

  it('R21 a COMMIT that never reached the server did nothing: 503, and the retry runs once', async () => {
    const key = randomUUID();
    const [before, { runs }] = [await countOrders(witness), shop.watch];
    proxy.onNextCommit('lose');
    expectUnavailable(await shop.post('/orders', { amount: 1 }, key));
    expect(proxy.commitSeen).toBe(true);
    expect([await countOrders(witness), await countKeys(witness, key)]).toEqual([before, 0]);
    const again = await shop.post('/orders', { amount: 1 }, key);
    expect(again.status).toBe(201);
    expect([await countOrders(witness), shop.watch.runs]).toEqual([before + 1, runs + 2]);
  });

  it('R21 a late COMMIT is waited for: nothing stored yet does not mean that nothing was done', async () => {
    const key = randomUUID();
    const [before, { runs }] = [await countOrders(witness), shop.watch];
    proxy.onNextCommit('deliver late');
    const first = await shop.post('/orders', { amount: 1 }, key);
    expect(proxy.commitSeen).toBe(true);
    expect(first.status).toBe(201);
    const replay = await shop.post('/orders', { amount: 1 }, key);
    expect([replay.text, replay.headers.get('idempotent-replayed')]).toEqual([first.text, 'true']);
    expect([await countOrders(witness), shop.watch.runs]).toEqual([before + 1, runs + 1]);
  });

  it('R21 an outcome that cannot be resolved in time is reported as unknown, and the key tells it later', async () => {
    const key = randomUUID();
    const before = await countOrders(witness);
    const impatient = await database.open({
      extra: { query_timeout: 2_000, connectionTimeoutMillis: 2_000 },
    });
    try {
      proxy.onNextCommit('black hole');
      const first = await impatient.post('/orders', { amount: 1 }, key);
      expect([first.status, first.json['code']]).toEqual([503, 'idempotency_outcome_unknown']);
      expect(first.headers.get('retry-after')).toBe('1');
      expect(first.headers.get('stripe-should-retry')).toBe('true');
      proxy.heal();
      const later = await impatient.post('/orders', { amount: 1 }, key);
      expect([later.status, later.headers.get('idempotent-replayed')]).toEqual([201, 'true']);
      expect([await countOrders(witness), impatient.watch.runs]).toEqual([before + 1, 1]);
    } finally {
      proxy.heal();
      await impatient.close();
    }
  });

  it('R21 the lost reply to a decline’s COMMIT does not turn it into a second run’s', async () => {
    const key = randomUUID();
    const before = await countOrders(witness);
    const body = { amount: 1, fail: 402 };
    proxy.onNextCommit('lose its reply');
    const replies = [await shop.post('/orders', body, key)];
    proxy.heal();
    replies.push(await shop.post('/orders', body, key), await shop.post('/orders', body, key));
    expect(replies.map(({ status }) => status)).toEqual([402, 402, 402]);
    expect(new Set(replies.map(({ text }) => text)).size).toBe(1);
    expect(await countOrders(witness)).toBe(before);
  });

  it('R21 the lost reply to the COMMIT of a claim never runs the remote call under another key', async () => {
    const key = randomUUID();
    const before = await countOrders(witness);
    shop.watch.remoteCalls = [];
    for (const outcome of ['lose its reply', 'lose'] as const) {
      proxy.onNextCommit(outcome);
      const reply = await shop.post('/orders/pay', { amount: 1 }, key);
      expect([reply.status, reply.json['code']]).toEqual([503, 'idempotency_outcome_unknown']);
      expect(proxy.commitSeen).toBe(true);
      await endLease(witness, key);
    }
    const last = await shop.post('/orders/pay', { amount: 1 }, key);
    expect(last.status).toBe(201);
    expect(new Set(shop.watch.remoteCalls).size).toBe(1);
    expect(await countOrders(witness)).toBe(before + 1);
    shop.watch.remoteCalls = [];
  });

  it('R21 a handler that swallowed a failed statement gets a 500, and nothing is stored', async () => {
    const key = randomUUID();
    const before = await countOrders(witness);
    const { runs } = shop.watch;
    const reply = await shop.post('/risky/swallows', {}, key);
    expect([reply.status, reply.json['code']]).toEqual([500, 'idempotency_commit_failed']);
    expect([await countOrders(witness), await countKeys(witness, key)]).toEqual([before, 0]);
    await shop.post('/risky/swallows', {}, key);
    expect(shop.watch.runs).toBe(runs + 2);
    const keyless = await shop.post('/risky/swallows', {});
    expect(keyless.status).toBe(500);
  });

  it('R14 a constraint that the handler violates is a 500 of its own, and is not stored', async () => {
    const key = randomUUID();
    await shop.post('/risky/twice-the-same', { amount: 5 }, randomUUID());
    expect((await shop.post('/risky/twice-the-same', { amount: 5 }, key)).status).toBe(500);
    expect(await countKeys(witness, key)).toBe(0);
  });

  it('R14 a deferred constraint that fails in COMMIT is a 500, and is not stored', async () => {
    const key = randomUUID();
    await shop.post('/risky/deferred', { amount: 5 }, randomUUID());
    const reply = await shop.post('/risky/deferred', { amount: 5 }, key);
    expect([reply.status, reply.json['code']]).toEqual([500, 'idempotency_commit_failed']);
    expect(await countKeys(witness, key)).toBe(0);
    await witness.dataSource.query('DELETE FROM deferreds');
    expect((await shop.post('/risky/deferred', { amount: 5 }, key)).status).toBe(201);
  });

  it('R14 a serialization failure is 503, and the retry succeeds', async () => {
    const strict = await database.open({
      extra: { options: '-c default_transaction_isolation=serializable' },
    });
    try {
      const names = ['s1', 's2'];
      const bothHeld = names.map((name) => once(strict.watch, `held ${name}`));
      const both = names.map(async (hold) => {
        const key = randomUUID();
        return { hold, key, reply: await strict.post('/risky/serializable', { hold }, key) };
      });
      await Promise.all(bothHeld);
      for (const name of names) strict.watch.release(name);
      const done = await Promise.all(both);
      expect(new Set(done.map(({ reply }) => reply.status))).toEqual(new Set([201, 503]));
      const failed = done.find(({ reply }) => reply.status === 503);
      if (!failed) throw new Error('one of them failed');
      expectUnavailable(failed.reply);
      strict.watch.release(failed.hold);
      const { hold, key } = failed;
      expect((await strict.post('/risky/serializable', { hold }, key)).status).toBe(201);
    } finally {
      await strict.close();
    }
  });
});
