/** What database work finds when the handler of a request has ended (R9b). */
import { ConflictException } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import type { EntityManager, QueryRunner } from 'typeorm';
import { outsideTransaction } from '../../../src/idempotency';
import { eventually } from '../../support/eventually';
import type { Adapter } from '../shop.fixture';
import { noConnectionIsLentOut, numberFrom } from '../shop-database.fixture';
import { Cart, openScriptedShop, type ScriptedShop } from './scripted-handlers.fixture';

const messageOf = async (work: () => unknown): Promise<string> => {
  try {
    await work();
    return 'no error';
  } catch (error) {
    return (error as Error).message;
  }
};

describe.each<Adapter>(['fastify', 'express'])('R9b on %s', (adapter) => {
  let shop: ScriptedShop;
  /** A row that handlers, filters and interceptors write. */
  let shared: number;
  beforeAll(async () => {
    shop = await openScriptedShop(adapter, { poolSize: 4 });
    shared = (await shop.dataSource.getRepository(Cart).save({ name: 'shared' })).id;
  });
  beforeEach(() => {
    shop.script.filter = shop.script.interceptor = () => undefined;
  });
  afterEach(() => noConnectionIsLentOut(shop));
  afterAll(() => shop.close());

  const write = (name: string) => shop.dataSource.getRepository(Cart).update(shared, { name });
  /** Writes the shared row at once. @returns nobody had it locked */
  const writeAtOnce = (name: string) =>
    messageOf(async () => {
      const sql = 'SELECT 1 FROM carts WHERE id = $1 FOR UPDATE NOWAIT';
      await shop.dataSource.query(sql, [shared]);
      await write(name);
    });
  const sharedName = async () =>
    (await shop.dataSource.getRepository(Cart).findOneByOrFail({ id: shared })).name;
  const insert = () => shop.dataSource.getRepository(Cart).insert({ name: randomUUID() });
  const saveWithLines = (manager: EntityManager, name: string = randomUUID()) =>
    manager.save(Cart, { name, lines: [{ item: 'a' }, { item: 'b' }] });
  const linesOf = (name: string) =>
    numberFrom(
      shop,
      `SELECT count(line.id)::int AS n FROM carts cart JOIN cart_lines line ON line."cartId" = cart.id
        WHERE cart.name = $1`,
      [name],
    );
  const countNamed = (name: string) =>
    numberFrom(shop, 'SELECT count(*)::int AS n FROM carts WHERE name = $1', [name]);

  describe('when a handler has failed, what surrounds it uses the same row', () => {
    const failures: [string, (error: Error) => Promise<{ status: number }>][] = [
      [
        'an atomic handler',
        (error) =>
          shop.handle(async () => {
            await write('by the handler');
            throw error;
          }),
      ],
      [
        'an atomic handler without a key',
        (error) => {
          shop.script.atomic = async () => {
            await write('by the handler');
            throw error;
          };
          return shop.post('/scripted', {});
        },
      ],
      [
        'a local phase',
        (error) =>
          shop.handlePhased((phases) =>
            phases.local('one', async () => {
              await write('by the handler');
              throw error;
            }),
          ),
      ],
      [
        'a last phase',
        (error) =>
          shop.handlePhased(async (phases) => {
            await phases.local('one', async () => 1);
            return phases.finish(async () => {
              await write('by the handler');
              throw error;
            });
          }),
      ],
      [
        'a handler whose last phase had succeeded',
        (error) =>
          shop.handlePhased(async (phases) => {
            await phases.finish(() => write('by the handler'));
            throw error;
          }),
      ],
    ];

    it.each(failures)('as a filter: %s', async (_name, fail) => {
      const name = randomUUID();
      const found: string[] = [];
      shop.script.filter = async () => found.push(await writeAtOnce(name));
      expect((await fail(new ConflictException('as asked'))).status).toBe(409);
      expect(await sharedName()).toBe(name);
      expect((await fail(new Error('as asked'))).status).toBe(500);
      expect(found).toEqual(['no error', 'no error']);
    });

    it.each(failures)('as an interceptor outside of the module’s own: %s', async (_name, fail) => {
      const name = randomUUID();
      const found: string[] = [];
      shop.script.interceptor = async () => found.push(await writeAtOnce(name));
      expect((await fail(new ConflictException('as asked'))).status).toBe(409);
      expect(await sharedName()).toBe(name);
      expect(found).toEqual(['no error']);
    });
  });

  describe('while an error that phases.finish() returned is on its way', () => {
    const decline = () =>
      shop.handlePhased((phases) =>
        phases.finish(async () => {
          await write('declined');
          return new ConflictException('declined');
        }),
      );

    it.each(['filter', 'interceptor'] as const)(
      'a %s that uses the same row gets it within a second, and the log says why the rest was undone',
      async (around) => {
        const name = randomUUID();
        shop.script[around] = () => write(name);
        const startedMs = performance.now();
        const reply = await decline();
        expect(performance.now() - startedMs).toBeLessThan(1_000);
        expect([reply.status, reply.json['code']]).toEqual([503, 'idempotency_store_unavailable']);
        expect(shop.errors.at(-1)).toMatch(/waited for rows that phases.finish\(\) wrote/);
        expect(await sharedName()).toBe(name);
        expect(await shop.isStored(reply.key)).toBe(false);
        shop.script[around] = () => undefined;
        const retry = await shop.post('/scripted/phased', {}, reply.key);
        expect([retry.status, await sharedName()]).toEqual([409, 'declined']);
      },
    );

    it('a filter that takes long, and uses no row of it, changes nothing', async () => {
      shop.script.filter = async () => {
        await insert();
        await new Promise((resolve) => setTimeout(resolve, 800));
        await insert();
      };
      const reply = await decline();
      expect(reply.status).toBe(409);
      expect(await sharedName()).toBe('declined');
      expect(await shop.isStored(reply.key)).toBe(true);
    });

    it('another handler that waits for the row waits on', async () => {
      let other: Promise<{ status: number }> | undefined;
      shop.script.filter = async () => {
        shop.script.filter = () => undefined;
        other = shop.handle(() => write('by another'));
        await eventually('the other waits', async () => {
          const sql = `SELECT count(*)::int AS n FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'`;
          return (await numberFrom(shop, sql)) === 1;
        });
        await new Promise((resolve) => setTimeout(resolve, 800));
      };
      expect((await decline()).status).toBe(409);
      expect((await other)?.status).toBe(201);
    });
  });

  describe('work that the handler did not await', () => {
    /** Begins in the handler, and goes on when the test says so. */
    const later = (work: () => Promise<unknown>) => {
      const gate = new EventEmitter();
      let done: Promise<string> = Promise.resolve('');
      return {
        begin: () => void (done = once(gate, 'go').then(() => messageOf(work))),
        finish: () => {
          gate.emit('go');
          return done;
        },
      };
    };

    const kinds: [string, () => Promise<unknown>][] = [
      ['a repository', () => insert()],
      ['a save with cascades', () => saveWithLines(shop.dataSource.manager)],
      [
        'dataSource.query',
        () => shop.dataSource.query('INSERT INTO carts (name) VALUES ($1)', [randomUUID()]),
      ],
      [
        'a query builder',
        () =>
          shop.dataSource
            .createQueryBuilder()
            .insert()
            .into(Cart)
            .values({ name: randomUUID() })
            .execute(),
      ],
      [
        'dataSource.transaction',
        () => shop.dataSource.transaction((manager) => saveWithLines(manager)),
      ],
      [
        'a query runner',
        async () => {
          const own = shop.dataSource.createQueryRunner();
          try {
            await own.startTransaction();
            await saveWithLines(own.manager);
            await own.commitTransaction();
          } finally {
            await own.release();
          }
        },
      ],
    ];

    it.each(kinds)('goes on alone after the commit: %s', async (_name, work) => {
      const before = await shop.carts();
      const late = later(work);
      const reply = await shop.handle(() => {
        late.begin();
        return {};
      });
      expect(reply.status).toBe(201);
      expect(await late.finish()).toBe('no error');
      expect(await shop.carts()).toBe(before + 1);
    });

    it.each(kinds)('is refused in words after a roll-back: %s', async (_name, work) => {
      const before = await shop.carts();
      const late = later(work);
      const reply = await shop.handle(() => {
        late.begin();
        throw new ConflictException('as asked');
      });
      expect(reply.status).toBe(409);
      expect(await late.finish()).toMatch(/was rolled back.*outsideTransaction\(\)/s);
      expect(await shop.carts()).toBe(before);
    });

    it.each(kinds)(
      'is refused in words in a phased handler, in a phase and outside: %s',
      async (_name, work) => {
        const before = await shop.carts();
        const lates = [later(work), later(work), later(work)];
        const reply = await shop.handlePhased(async (phases) => {
          lates[0]?.begin();
          await phases.local('one', () => Promise.resolve(lates[1]?.begin() ?? 1));
          return phases.finish(() => Promise.resolve(lates[2]?.begin() ?? {}));
        });
        expect(reply.status).toBe(201);
        for (const late of lates) expect(await late.finish()).toMatch(/outsideTransaction\(\)/);
        expect(await shop.carts()).toBe(before);
      },
    );

    it('goes on in outsideTransaction() in any case', async () => {
      const before = await shop.carts();
      const lates = [1, 2].map(() => later(() => outsideTransaction(insert)));
      await shop.handle(() => {
        lates[0]?.begin();
        throw new ConflictException('as asked');
      });
      await shop.handlePhased((phases) => {
        lates[1]?.begin();
        return phases.finish(() => Promise.resolve({}));
      });
      for (const late of lates) expect(await late.finish()).toBe('no error');
      expect(await shop.carts()).toBe(before + 2);
    });

    it('does not lose a save that was under way', async () => {
      const name = randomUUID();
      let saved: Promise<unknown> = Promise.resolve();
      const reply = await shop.handle(() => {
        saved = saveWithLines(shop.dataSource.manager, name);
        return {};
      });
      expect(reply.status).toBe(201);
      await saved;
      expect(await linesOf(name)).toBe(2);
    });

    it('undoes a save that was under way when the handler threw', async () => {
      const name = randomUUID();
      let saved: Promise<string> = Promise.resolve('');
      await shop.handle(async () => {
        saved = messageOf(() => saveWithLines(shop.dataSource.manager, name));
        await new Promise(setImmediate);
        throw new ConflictException('as asked');
      });
      expect(await saved).toMatch(/was rolled back/);
      expect(await countNamed(name)).toBe(0);
    });

    it.each([true, false])(
      'waits for a COMMIT that is under way, and obeys its result: committed is %s',
      async (commits) => {
        const table = `deferred_${adapter}_${commits}`;
        await shop.dataSource.query(`CREATE TABLE ${table} (n int)`);
        await shop.dataSource.query(`CREATE FUNCTION ${table}() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN PERFORM pg_advisory_xact_lock(42); IF NOT ${commits} THEN RAISE 'as asked'; END IF; RETURN NULL; END $$`);
        await shop.dataSource.query(`CREATE CONSTRAINT TRIGGER late AFTER INSERT ON ${table}
          DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ${table}()`);
        const blocker = shop.dataSource.createQueryRunner();
        await blocker.startTransaction();
        await blocker.query('SELECT pg_advisory_xact_lock(42)');
        const before = await shop.carts();
        const lates = kinds.map(([, work]) => later(work));
        const running = shop.handle(async () => {
          for (const late of lates) late.begin();
          await shop.dataSource.query(`INSERT INTO ${table} VALUES (1)`);
          return {};
        });
        await eventually('COMMIT is under way', async () => {
          const sql = `SELECT count(*)::int AS n FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event = 'advisory'`;
          return (await numberFrom(shop, sql)) === 1;
        });
        const messages = Promise.all(lates.map((late) => late.finish()));
        await blocker.commitTransaction();
        await blocker.release();
        expect((await running).status).toBe(commits ? 201 : 500);
        const wanted = commits ? /no error/ : /was rolled back/;
        for (const message of await messages) expect(message).toMatch(wanted);
        expect(await shop.carts()).toBe(before + (commits ? kinds.length : 0));
      },
    );

    it.each([true, false])(
      'is refused a runner, a manager and a nested transaction of before: committed is %s',
      async (commits) => {
        let runner: QueryRunner | undefined;
        const managers: EntityManager[] = [];
        await shop.handle(async () => {
          runner = shop.dataSource.createQueryRunner();
          managers.push(runner.manager);
          await shop.dataSource.transaction(async (manager) => void managers.push(manager));
          await runner.query('SELECT 1');
          if (!commits) throw new ConflictException('as asked');
          return {};
        });
        const own = runner as QueryRunner;
        const words = /belongs to the transaction of a request, and that is over|already released/;
        expect(await messageOf(() => own.query('SELECT 1'))).toMatch(words);
        expect(await messageOf(() => own.startTransaction())).toMatch(words);
        for (const manager of managers) {
          expect(await messageOf(() => saveWithLines(manager))).toMatch(words);
          expect(
            await messageOf(() => manager.transaction((inner) => saveWithLines(inner))),
          ).toMatch(words);
        }
        await own.release();
      },
    );
  });
});
