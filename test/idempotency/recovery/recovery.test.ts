/** Recovery of operations whose process died. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { RecoveryJob } from '../../../src/idempotency';
import { KeyStore } from '../../../src/idempotency/store/key.store';
import { leaseMsFor } from '../../../src/idempotency/attempts/phase-runner';
import { type Adapter, impersonated, openShop, Order, type Shop, Watch } from '../shop.fixture';

const options = {
  remoteDeadlineMs: 60_000,
  runAs: <T>({ account }: { account: string }, work: () => Promise<T>) =>
    impersonated.run(account, work),
};

describe.each<Adapter>(['fastify', 'express'])('R19 recovery on %s', (adapter) => {
  let shop: Shop;
  let job: RecoveryJob;
  beforeAll(async () => {
    shop = await openShop(adapter, { options: { ...options, recoveryIntervalMs: 0 } });
    job = shop.app.get(RecoveryJob, { strict: false });
  });
  afterAll(() => shop.close());
  beforeEach(async () => {
    await shop.dataSource.query('TRUNCATE idempotency_keys, orders');
    shop.watch.remoteCalls = [];
    shop.watch.effects.clear();
    shop.watch.remote = () => Promise.reject(new Error('connection lost'));
  });
  const row = async (key: string) =>
    (
      await shop.dataSource.query<Record<string, unknown>[]>(
        'SELECT * FROM idempotency_keys WHERE key = $1',
        [key],
      )
    )[0];
  const age = (key: string, seconds: number) =>
    shop.dataSource.query(
      `UPDATE idempotency_keys SET created_at = created_at - $2 * interval '1 second' WHERE key = $1`,
      [key, seconds],
    );
  const makeDue = () => shop.dataSource.query('UPDATE idempotency_keys SET retry_at = NULL');

  it('finishes a request whose client left, with the same remote key, and erases the stored request', async () => {
    const key = `"quoted" ${randomUUID()}`;
    const quoted = `"${key.replace(/"/g, '\\"')}"`;
    expect((await shop.post('/orders/pay', { amount: 9 }, quoted)).status).toBe(503);
    expect(await row(key)).toMatchObject({ status: null, request: { method: 'POST' } });
    shop.watch.remote = () => Promise.resolve('approved');
    expect(await job.runOnce()).toMatchObject({ found: 1, finished: 1, postponed: 0 });
    expect(await row(key)).toMatchObject({ status: 201, attempt: 2, request: null });
    expect(new Set(shop.watch.remoteCalls).size).toBe(1);
    expect(await shop.dataSource.getRepository(Order).count()).toBe(1);
    const replay = await shop.post('/orders/pay', { amount: 9 }, quoted);
    expect(replay.status).toBe(201);
    expect(replay.headers.get('idempotent-replayed')).toBe('true');
    expect(await job.runOnce()).toMatchObject({ found: 0 });
  });

  it('stores no credentials with the request, and acts as the account that sent it', async () => {
    const key = randomUUID();
    await shop.post('/orders/pay', { amount: 9 }, key, { authorization: 'b', cookie: 'secret=1' });
    const stored = JSON.stringify(await row(key));
    expect(stored).not.toContain('secret');
    expect(stored).not.toContain('authorization');
    shop.watch.remote = () => Promise.resolve('approved');
    await job.runOnce();
    expect(await row(key)).toMatchObject({ account: 'b', status: 201 });
  });

  it('leaves alone a request that is running, and one that failed again until its next turn', async () => {
    const key = randomUUID();
    const held = once(shop.watch, 'held here');
    const running = shop.post('/orders/pay', { amount: 9, hold: 'here' }, randomUUID());
    await held;
    expect(await job.runOnce()).toMatchObject({ found: 0 });
    shop.watch.release('here');
    await running;
    await shop.dataSource.query('TRUNCATE idempotency_keys');
    await shop.post('/orders/pay', { amount: 9 }, key);
    expect(await job.runOnce()).toMatchObject({ found: 1, postponed: 1 });
    // Its turn is in a second: put off, so that it does not come meanwhile.
    await shop.dataSource.query(
      "UPDATE idempotency_keys SET retry_at = retry_at + interval '1 hour'",
    );
    expect(await job.runOnce()).toMatchObject({ found: 0 });
    const pauses: number[] = [];
    for (let i = 0; i < 8; i += 1) {
      await makeDue();
      await job.runOnce();
      const [{ pause }] = (await shop.dataSource.query(
        'SELECT extract(epoch FROM retry_at - now())::float8 AS pause FROM idempotency_keys',
      )) as [{ pause: number }];
      pauses.push(pause);
    }
    expect(pauses.at(-1)).toBeGreaterThan(Math.max(...pauses.slice(0, 2)));
    // They end at one lease: doubled for ever, the last would be three minutes long at least.
    expect(Math.max(...pauses)).toBeLessThanOrEqual(
      leaseMsFor(options.remoteDeadlineMs) / 1_000,
    );
  });

  it('parks a request that has failed for a day, visibly, and a client’s retry still finishes it', async () => {
    const key = randomUUID();
    await shop.post('/orders/pay', { amount: 9 }, key);
    await age(key, 86_401);
    expect(await job.runOnce()).toMatchObject({ found: 1, parked: 1 });
    await makeDue();
    expect(await job.runOnce()).toMatchObject({ found: 0 });
    expect((await row(key))?.['parked_at']).not.toBeNull();
    shop.watch.remote = () => Promise.resolve('approved');
    expect((await shop.post('/orders/pay', { amount: 9 }, key)).status).toBe(201);
    expect(await row(key)).toMatchObject({ status: 201, parked_at: null });
  });

  it('two processes that recover at once finish each request once', async () => {
    const databaseUrl = (shop.dataSource.options as { url: string }).url;
    const other = await openShop(adapter, {
      databaseUrl,
      options: { ...options, recoveryIntervalMs: 0 },
    });
    const keys = Array.from({ length: 20 }, () => randomUUID());
    await Promise.all(keys.map((key) => shop.post('/orders/pay', { amount: 9 }, key)));
    const approve = () => Promise.resolve('approved');
    Object.assign(shop.watch, { remote: approve, remoteCalls: [] });
    other.watch.remote = approve;
    await Promise.all([job.runOnce(), other.app.get(RecoveryJob, { strict: false }).runOnce()]);
    const calls = [...shop.watch.remoteCalls, ...other.watch.remoteCalls];
    expect([calls.length, new Set(calls).size]).toEqual([20, 20]);
    expect(await shop.dataSource.getRepository(Order).count()).toBe(20);
    await other.close();
  });

  it('R5 never begins a new life: a key that was finished and expired since it was found is left alone', async () => {
    const key = randomUUID();
    await shop.post('/orders/pay', { amount: 9 }, key);
    shop.watch.remote = () => Promise.resolve('approved');
    const store = shop.app.get<{ findAbandoned(limit: number): Promise<unknown[]> }>(KeyStore, {
      strict: false,
    });
    const find = jest.spyOn(store, 'findAbandoned').mockImplementationOnce(async (limit) => {
      find.mockRestore();
      const found = await store.findAbandoned(limit);
      // Between finding and sending: its client finishes it, and its life passes.
      expect((await shop.post('/orders/pay', { amount: 9 }, key)).status).toBe(201);
      await shop.dataSource.query(
        "UPDATE idempotency_keys SET expires_at = now() - interval '1 s'",
      );
      return found;
    });
    expect(await job.runOnce()).toMatchObject({ found: 1, finished: 1 });
    expect(shop.watch.effects.size).toBe(1);
    expect(await shop.dataSource.getRepository(Order).count()).toBe(1);
  });

  it('runs by itself, on the process’s own timer', async () => {
    const databaseUrl = (shop.dataSource.options as { url: string }).url;
    const key = randomUUID();
    await shop.post('/orders/pay', { amount: 9 }, key);
    let recovering: Promise<unknown> | undefined;
    const timed = await openShop(adapter, {
      databaseUrl,
      options: { ...options, recoveryIntervalMs: 20 },
      // Before the timer runs.
      configure: (app) => {
        const watch = app.get(Watch);
        recovering = once(watch, 'held recovered');
        watch.remote = () => watch.hold('recovered').then(() => 'approved');
      },
    });
    await recovering;
    timed.watch.release('recovered');
    await timed.close();
    expect(await row(key)).toMatchObject({ status: 201 });
  });
});
