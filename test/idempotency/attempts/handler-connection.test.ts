/** Database work of a handler, begun in any way, stays in its transaction or is refused in words (R9a). */
import { ConflictException } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { EntityManager, QueryRunner } from 'typeorm';
import { Idempotent, outsideTransaction } from '../../../src/idempotency';
import type { Adapter } from '../shop.fixture';
import { noConnectionIsLentOut } from '../shop-database.fixture';
import { Cart, openScriptedShop, type ScriptedShop } from './scripted-handlers.fixture';

type Level = 'READ UNCOMMITTED' | 'READ COMMITTED' | 'REPEATABLE READ' | 'SERIALIZABLE';

const messageOf = async (work: () => unknown): Promise<string> => {
  try {
    await work();
    return 'no error';
  } catch (error) {
    return (error as Error).message;
  }
};

describe.each<Adapter>(['fastify', 'express'])('R9a a handler on %s', (adapter) => {
  let shop: ScriptedShop;
  beforeAll(async () => {
    shop = await openScriptedShop(adapter, { poolSize: 3 });
  });
  afterEach(() => noConnectionIsLentOut(shop));
  afterAll(() => shop.close());

  const runner = (): QueryRunner => shop.dataSource.createQueryRunner();
  const cart = (lines: string[] = []) => ({
    name: randomUUID(),
    lines: lines.map((item) => ({ item })),
  });
  const save = (manager: EntityManager, lines?: string[]) => manager.save(Cart, cart(lines));

  describe('with a query runner', () => {
    const inRunner = async (work: (own: QueryRunner) => Promise<unknown>) => {
      const own = runner();
      await own.connect();
      await own.startTransaction();
      try {
        await work(own);
        await own.commitTransaction();
      } catch (error) {
        await own.rollbackTransaction();
        throw error;
      } finally {
        await own.release();
      }
    };

    it('loses what the runner committed when the handler throws, and each run leaves nothing', async () => {
      const before = await shop.carts();
      const reply = await shop.handle(async () => {
        await inRunner((own) => save(own.manager, ['a', 'b']));
        throw new Error('after the commit');
      });
      expect(reply.status).toBe(500);
      expect(await shop.carts()).toBe(before);
      expect(await shop.isStored(reply.key)).toBe(false);
    });

    it('keeps what the runner committed, with its cascades, and what came outside of its transaction', async () => {
      const before = await shop.carts();
      const reply = await shop.handle(async () => {
        const own = runner();
        await save(own.manager, ['alone']);
        await own.query('INSERT INTO carts (name) VALUES ($1)', [randomUUID()]);
        await own.release();
        await inRunner((other) => save(other.manager, ['a', 'b']));
        await shop.dataSource.manager.getRepository(Cart).save(cart());
        return {};
      });
      expect(reply.status).toBe(201);
      expect(await shop.carts()).toBe(before + 4);
    });

    it('undoes what the runner rolled back, and nothing else', async () => {
      const before = await shop.carts();
      const reply = await shop.handle(async () => {
        await save(shop.dataSource.manager);
        await messageOf(() =>
          inRunner(async (own) => {
            await save(own.manager, ['lost']);
            throw new Error('as asked');
          }),
        );
        await save(shop.dataSource.manager);
        return {};
      });
      expect(reply.status).toBe(201);
      expect(await shop.carts()).toBe(before + 2);
    });

    it('has runners inside runners, each with a depth of its own', async () => {
      const before = await shop.carts();
      const depths: unknown[] = [];
      const note = (own: QueryRunner) =>
        depths.push([
          own.isTransactionActive,
          (own as { transactionDepth?: number }).transactionDepth,
        ]);
      const reply = await shop.handle(async () => {
        const outer = runner();
        note(outer);
        await outer.startTransaction();
        await save(outer.manager);
        const inner = runner();
        note(inner);
        await inner.startTransaction();
        await inner.startTransaction();
        note(inner);
        await save(inner.manager);
        await inner.rollbackTransaction();
        await save(inner.manager);
        await inner.commitTransaction();
        note(inner);
        await inner.release();
        await outer.manager.transaction((manager) => save(manager));
        note(outer);
        await outer.commitTransaction();
        await outer.release();
        return {};
      });
      expect(reply.status).toBe(201);
      expect(depths).toEqual([
        [false, 0],
        [false, 0],
        [true, 2],
        [false, 0],
        [true, 1],
      ]);
      expect(await shop.carts()).toBe(before + 3);
    });

    it('undoes what a released runner left open; releasing it twice does nothing, using it is TypeORM’s error', async () => {
      const before = await shop.carts();
      const messages: string[] = [];
      const reply = await shop.handle(async () => {
        const own = runner();
        await own.startTransaction();
        await own.startTransaction();
        await save(own.manager);
        await own.release();
        await own.release();
        messages.push(await messageOf(() => own.query('SELECT 1')));
        messages.push(await messageOf(() => own.manager.transaction(() => Promise.resolve())));
        messages.push(await messageOf(() => runner().commitTransaction()));
        return {};
      });
      expect(reply.status).toBe(201);
      expect(messages[0]).toMatch(/runner already released/i);
      expect(messages[1]).toMatch(/runner .*already released/i);
      expect(messages[2]).toMatch(/not started/i);
      expect(await shop.carts()).toBe(before);
    });

    it('commits all that `await using` left open, and undoes it where the block throws inside a transaction', async () => {
      const dispose = (own: QueryRunner) =>
        (own as unknown as Record<symbol, () => Promise<void>>)[Symbol.asyncDispose]?.();
      const before = await shop.carts();
      const reply = await shop.handle(async () => {
        const own = runner();
        await own.startTransaction();
        await own.startTransaction();
        await save(own.manager);
        await dispose(own);
        return {};
      });
      expect(reply.status).toBe(201);
      expect(await shop.carts()).toBe(before + 1);
    });

    it('reads from the handler’s connection in a builder that was made before the request', async () => {
      const builder = shop.dataSource.getRepository(Cart).createQueryBuilder('cart');
      const reply = await shop.handle(async () => {
        const before = await builder.getCount();
        await save(shop.dataSource.manager);
        return { more: (await builder.getCount()) - before };
      });
      expect(reply.json).toEqual({ more: 1 });
    });

    it('is still alone on its connection in work that outsideTransaction() runs', async () => {
      const before = await shop.carts();
      const reply = await shop.handle(async () => {
        await outsideTransaction(() => inRunner((own) => save(own.manager)));
        throw new Error('as asked');
      });
      expect(reply.status).toBe(500);
      expect(await shop.carts()).toBe(before + 1);
    });

    it('has them in the phases of a phased operation too, and nowhere else in it', async () => {
      const before = await shop.carts();
      const messages: string[] = [];
      const reply = await shop.handlePhased(async (phases) => {
        messages.push(await messageOf(() => runner()));
        messages.push(await messageOf(() => shop.dataSource.transaction(() => Promise.resolve())));
        await phases.local('one', () => inRunner((own) => save(own.manager)).then(() => 1));
        await messageOf(() =>
          phases.local('two', async () => {
            await inRunner((own) => save(own.manager));
            throw new Error('as asked');
          }),
        );
        return phases.finish(() => inRunner((own) => save(own.manager)).then(() => ({})));
      });
      expect(reply.status).toBe(201);
      for (const message of messages) expect(message).toMatch(/only inside phases/);
      expect(await shop.carts()).toBe(before + 2);
    });
  });

  describe('with nested transactions', () => {
    const { signal } = new AbortController();
    const turn = () => new Promise((resolve) => setImmediate(resolve, signal));

    it.each<[string, () => Promise<unknown>]>([
      [
        'three at once',
        () =>
          Promise.all([1, 2, 3].map(() => shop.dataSource.transaction((manager) => save(manager)))),
      ],
      [
        'one fails beside one that succeeds, and the failure is caught',
        () =>
          Promise.allSettled([
            shop.dataSource.transaction(async (manager) => {
              await save(manager);
              await turn();
              await save(manager);
              throw new Error('as asked');
            }),
            shop.dataSource.transaction((manager) => save(manager)),
          ]),
      ],
      [
        'one fails while a repository writes beside it',
        () =>
          Promise.allSettled([
            shop.dataSource.transaction(async (manager) => {
              await save(manager);
              await turn();
              await save(manager);
              throw new Error('as asked');
            }),
            shop.dataSource.getRepository(Cart).insert(cart()),
          ]),
      ],
      [
        'one fails beside a query runner',
        () =>
          Promise.allSettled([
            shop.dataSource.transaction(async (manager) => {
              await save(manager);
              await turn();
              await save(manager);
              throw new Error('as asked');
            }),
            runner().query('INSERT INTO carts (name) VALUES ($1)', [randomUUID()]),
          ]),
      ],
      [
        'two at once inside another',
        () =>
          shop.dataSource.transaction((manager) =>
            Promise.all([1, 2].map(() => manager.transaction((inner) => save(inner)))),
          ),
      ],
      [
        'a runner that commits around another',
        async () => {
          const [first, second] = [runner(), runner()];
          await first.startTransaction();
          await second.startTransaction();
          await save(second.manager);
          const message = await messageOf(() => first.commitTransaction());
          await messageOf(() => second.commitTransaction());
          throw new Error(message);
        },
      ],
      [
        'a runner that is released around another',
        async () => {
          const [first, second] = [runner(), runner()];
          await first.startTransaction();
          await second.startTransaction();
          await first.release();
        },
      ],
    ])('refuses those that end out of turn, and undoes all: %s', async (_name, work) => {
      const before = await shop.carts();
      let message = '';
      const reply = await shop.handle(async () => {
        await save(shop.dataSource.manager);
        message = await messageOf(work);
        const later = await messageOf(() => save(shop.dataSource.manager));
        expect(later).toMatch(/at the same time.*only be undone/s);
        return { message };
      });
      expect(reply.status).toBe(500);
      expect(reply.json['code']).toBe('idempotency_commit_failed');
      expect(shop.errors.at(-1)).toMatch(/at the same time/);
      expect(await shop.carts()).toBe(before);
      expect(await shop.isStored(reply.key)).toBe(false);
    });

    it.each<[string, () => unknown]>([
      [
        'not awaited',
        () => {
          void shop.dataSource
            .transaction(() => new Promise(() => undefined))
            .catch(() => undefined);
          return turn();
        },
      ],
      [
        'a runner neither committed nor released',
        async () => {
          const own = runner();
          await own.startTransaction();
          await save(own.manager);
        },
      ],
    ])('undoes all where one is still open when the handler has ended: %s', async (_name, work) => {
      const before = await shop.carts();
      const reply = await shop.handle(async () => {
        await save(shop.dataSource.manager);
        await work();
        return {};
      });
      expect(reply.status).toBe(500);
      expect(shop.errors.at(-1)).toMatch(/was still open when the handler had ended/);
      expect(await shop.carts()).toBe(before);
    });

    it('allows a transaction that ends before the next begins, nested to any depth, and one that fails', async () => {
      const before = await shop.carts();
      const reply = await shop.handle(async () => {
        for (const at of [1, 2, 3]) {
          await messageOf(() =>
            shop.dataSource.transaction(async (manager) => {
              await save(manager);
              await manager.transaction((inner) => inner.transaction((deep) => save(deep, ['x'])));
              await save(shop.dataSource.manager);
              if (at === 2) throw new Error('as asked');
            }),
          );
        }
        return {};
      });
      expect(reply.status).toBe(201);
      expect(await shop.carts()).toBe(before + 6);
    });
  });

  describe('that sends BEGIN, COMMIT or the like as a statement', () => {
    const send: [string, (sql: string) => Promise<unknown>][] = [
      ['dataSource.query', (sql) => shop.dataSource.query(sql)],
      ['dataSource.manager', (sql) => shop.dataSource.manager.query(sql)],
      ['a repository', (sql) => shop.dataSource.getRepository(Cart).query(sql)],
      ['a query runner', (sql) => runner().query(sql)],
      [
        'a nested transaction',
        (sql) => shop.dataSource.transaction((manager) => manager.query(sql)),
      ],
      [
        'the client of a query runner',
        async (sql) => ((await runner().connect()) as PoolClient).query({ text: sql }),
      ],
    ];
    it.each(send)(
      'is refused by %s, and all is undone, though it caught the error',
      async (_name, query) => {
        const before = await shop.carts();
        let message = '';
        const reply = await shop.handle(async () => {
          await save(shop.dataSource.manager);
          message = await messageOf(() => query('COMMIT'));
          return {};
        });
        expect(message).toMatch(/"COMMIT" was sent as a statement.*dataSource.transaction\(\)/s);
        expect(reply.status).toBe(500);
        expect(shop.errors.at(-1)).toMatch(/"COMMIT" was sent as a statement/);
        expect(await shop.carts()).toBe(before);
      },
    );

    it('is refused where it ends the ambient runner itself', async () => {
      const before = await shop.carts();
      const messages: string[] = [];
      const reply = await shop.handle(async () => {
        await save(shop.dataSource.manager);
        const ambient = shop.dataSource.manager.queryRunner as QueryRunner;
        await ambient.release(); // as a runner that is not its own: nothing
        await save(shop.dataSource.manager);
        messages.push(await messageOf(() => ambient.commitTransaction()));
        messages.push(await messageOf(() => ambient.rollbackTransaction()));
        return {};
      });
      for (const message of messages) expect(message).toMatch(/end the transaction.*itself/);
      expect(reply.status).toBe(500);
      expect(await shop.carts()).toBe(before);
    });
  });

  describe('that catches the error of a statement', () => {
    const taken = { name: 'taken' };
    beforeAll(() => shop.dataSource.getRepository(Cart).insert(taken));

    it('is refused the next one in words that name the cure, and nothing is stored', async () => {
      const before = await shop.carts();
      let message = '';
      const reply = await shop.handle(async () => {
        await save(shop.dataSource.manager);
        await messageOf(() => shop.dataSource.getRepository(Cart).insert(taken));
        message = await messageOf(() => shop.dataSource.getRepository(Cart).count());
        throw new Error(message);
      });
      expect(message).toMatch(/duplicate key.*nested transaction: dataSource.transaction\(\)/s);
      expect(reply.status).toBe(500);
      expect(await shop.carts()).toBe(before);
    });

    it('is told the cure in the log where it sent no other', async () => {
      const reply = await shop.handle(async () => {
        await messageOf(() => shop.dataSource.getRepository(Cart).insert(taken));
        return {};
      });
      expect(reply.status).toBe(500);
      expect(shop.errors.at(-1)).toMatch(/duplicate key.*nested transaction/s);
      expect(await shop.isStored(reply.key)).toBe(false);
    });

    it('goes on where the statement stood in a nested transaction', async () => {
      const before = await shop.carts();
      const reply = await shop.handle(async () => {
        await messageOf(() =>
          shop.dataSource.transaction((manager) => manager.insert(Cart, taken)),
        );
        const own = runner();
        await messageOf(() => own.manager.save(Cart, taken));
        await own.release();
        await save(shop.dataSource.manager);
        return {};
      });
      expect(reply.status).toBe(201);
      expect(await shop.carts()).toBe(before + 1);
    });

    it('goes on after a savepoint of its own', async () => {
      const before = await shop.carts();
      const reply = await shop.handle(async () => {
        await save(shop.dataSource.manager);
        await shop.dataSource.query('SAVEPOINT mine');
        await messageOf(() => shop.dataSource.getRepository(Cart).insert(taken));
        await shop.dataSource.query('rollback to savepoint mine');
        return {};
      });
      expect(reply.status).toBe(201);
      expect(await shop.carts()).toBe(before + 1);
    });
  });

  describe('with an isolation level', () => {
    const level = async () => {
      const [row] = await shop.dataSource.query<[{ transaction_isolation: string }]>(
        'SHOW transaction_isolation',
      );
      return row.transaction_isolation;
    };

    it('has the level of its endpoint, and else the server’s', async () => {
      expect((await shop.handle(async () => ({ level: await level() }))).json).toEqual({
        level: 'read committed',
      });
      const strong = await shop.handle(async () => ({ level: await level() }), '/serializable');
      expect(strong.json).toEqual({ level: 'serializable' });
      const keyless = await shop.post('/scripted/serializable', {});
      expect(keyless.json).toEqual({ level: 'serializable' });
    });

    it('has it in each phase', async () => {
      const reply = await shop.handlePhased(async (phases) => {
        const first = await phases.local('one', level);
        const second = await phases.local('two', level);
        return phases.finish(async () => ({ levels: [first, second, await level()] }));
      }, '/phased/repeatable');
      const all = 'repeatable read';
      expect(reply.json).toEqual({ levels: [all, all, all] });
    });

    it.each<[Level, string, boolean]>([
      ['READ UNCOMMITTED', '', true],
      ['READ COMMITTED', '', true],
      ['REPEATABLE READ', '', false],
      ['SERIALIZABLE', '', false],
      ['REPEATABLE READ', '/serializable', true],
      ['SERIALIZABLE', '/serializable', true],
    ])('that asks inside for %s, on /scripted%s: allowed is %s', async (asked, path, allowed) => {
      const messages: string[] = [];
      await shop.handle(async () => {
        const { dataSource } = shop;
        messages.push(
          await messageOf(() => dataSource.transaction(asked, (manager) => save(manager))),
        );
        const own = runner();
        messages.push(await messageOf(() => own.startTransaction(asked)));
        messages.push(String(own.isTransactionActive === allowed));
        await own.release();
        return {};
      }, path);
      const wanted = allowed
        ? /no error/
        : new RegExp(`cannot be ${asked}.*isolation: '${asked}'`, 's');
      expect(messages).toEqual([
        expect.stringMatching(wanted),
        expect.stringMatching(wanted),
        'true',
      ]);
    });

    it('that PostgreSQL does not know is refused at the start', () => {
      expect(() => Idempotent({ isolation: 'SNAPSHOT' as 'SERIALIZABLE' })).toThrow(
        /isolation: 'SNAPSHOT'.*READ COMMITTED, REPEATABLE READ, SERIALIZABLE/,
      );
    });

    it('gets 503 and may try again where PostgreSQL could not serialise it', async () => {
      await shop.dataSource.query('CREATE TABLE IF NOT EXISTS counters (n int)');
      await shop.dataSource.query('INSERT INTO counters VALUES (0)');
      let first = true;
      const work = async () => {
        await shop.dataSource.query('SELECT n FROM counters');
        if (first)
          await outsideTransaction(() => shop.dataSource.query('UPDATE counters SET n = n + 1'));
        first = false;
        await shop.dataSource.query('UPDATE counters SET n = n + 10');
        return {};
      };
      const refused = await shop.handle(work, '/serializable');
      expect([refused.status, refused.json['code']]).toEqual([
        503,
        'idempotency_store_unavailable',
      ]);
      expect((await shop.post('/scripted/serializable', {}, refused.key)).status).toBe(201);
    });
  });

  it('stores an outcome that it throws after a mistake, and none of its writes', async () => {
    const before = await shop.carts();
    const reply = await shop.handle(async () => {
      await save(shop.dataSource.manager);
      await messageOf(() => shop.dataSource.query('COMMIT'));
      throw new ConflictException('as asked');
    });
    expect(reply.status).toBe(409);
    expect(await shop.carts()).toBe(before);
  });
});

describe('R9a the isolation level of the DataSource', () => {
  it('is that of every handler whose endpoint names none', async () => {
    const shop = await openScriptedShop('fastify', {
      dataSource: { isolationLevel: 'REPEATABLE READ' },
    });
    try {
      const reply = await shop.handle(() => shop.dataSource.query('SHOW transaction_isolation'));
      expect(reply.text).toContain('repeatable read');
      const strong = await shop.handle(
        () => shop.dataSource.query('SHOW transaction_isolation'),
        '/serializable',
      );
      expect(strong.text).toContain('serializable');
    } finally {
      await shop.close();
    }
  });
});
