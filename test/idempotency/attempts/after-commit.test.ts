/** What runs after the commit: `afterCommit()`, and TypeORM's subscribers (R9c). */
import { ConflictException } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import {
  type EntitySubscriberInterface,
  EventSubscriber,
  type TransactionCommitEvent,
} from 'typeorm';
import { afterCommit, outsideTransaction } from '../../../src/idempotency';
import { eventually } from '../../support/eventually';
import type { Adapter } from '../shop.fixture';
import { noConnectionIsLentOut } from '../shop-database.fixture';
import { Cart, openScriptedShop, type ScriptedShop } from './scripted-handlers.fixture';

/** Hears of commits, and does what the test in hand says. */
@EventSubscriber()
class CommitSubscriber implements EntitySubscriberInterface {
  static readonly heard: string[] = [];
  static before: (event: TransactionCommitEvent) => unknown = () => undefined;
  static after: (event: TransactionCommitEvent) => unknown = () => undefined;

  async beforeTransactionCommit(event: TransactionCommitEvent): Promise<void> {
    CommitSubscriber.heard.push('before');
    await CommitSubscriber.before(event);
  }

  async afterTransactionCommit(event: TransactionCommitEvent): Promise<void> {
    CommitSubscriber.heard.push('after');
    await CommitSubscriber.after(event);
  }
}

describe.each<Adapter>(['fastify', 'express'])('R9c on %s', (adapter) => {
  let shop: ScriptedShop;
  /** What has run after a commit. */
  const ran: string[] = [];
  const { heard } = CommitSubscriber;
  beforeAll(async () => {
    shop = await openScriptedShop(adapter, {
      poolSize: 4,
      dataSource: { subscribers: [CommitSubscriber] },
    });
  });
  beforeEach(() => {
    ran.length = heard.length = 0;
  });
  afterEach(() => {
    CommitSubscriber.before = CommitSubscriber.after = () => undefined;
    return noConnectionIsLentOut(shop);
  });
  afterAll(() => shop.close());

  const carts = () => shop.dataSource.getRepository(Cart);
  const insert = (name: string = randomUUID()) => carts().insert({ name });
  const note = (name: string) => () => void ran.push(name);
  const messageOf = (work: () => unknown): string => {
    try {
      work();
      return 'no error';
    } catch (error) {
      return (error as Error).message;
    }
  };
  const idle = () => new Promise((resolve) => setTimeout(resolve, 50));

  describe('afterCommit()', () => {
    it('runs once, in order, when others see what was committed, and not on a replay', async () => {
      const name = randomUUID();
      const reply = await shop.handle(async () => {
        await insert(name);
        afterCommit(async () => ran.push(`first sees ${await carts().countBy({ name })}`));
        afterCommit(note('second'));
        expect(ran).toEqual([]);
        return {};
      });
      await eventually('both have run', () => ran.length === 2);
      expect(ran.toSorted()).toEqual(['first sees 1', 'second']);
      const replay = await shop.post('/scripted', {}, reply.key);
      expect(replay.headers.get('idempotent-replayed')).toBe('true');
      await idle();
      expect(ran).toHaveLength(2);
    });

    it('is not awaited by the response, and its error is logged and stops nothing', async () => {
      const gate = new EventEmitter();
      const reply = await shop.handle(() => {
        afterCommit(async () => {
          await once(gate, 'go');
          ran.push('late');
        });
        afterCommit(() => {
          throw new Error('thrown after the commit');
        });
        afterCommit(() => Promise.reject(new Error('rejected after the commit')));
        afterCommit(note('last'));
        return {};
      });
      expect(reply.status).toBe(201);
      await eventually('the last has run', () => ran.includes('last'));
      gate.emit('go');
      await eventually('the late one has run', () => ran.includes('late'));
      const logged = shop.errors.slice(-2).join();
      expect(logged).toContain('thrown after the commit');
      expect(logged).toContain('rejected after the commit');
    });

    it('may use the database on connections of its own, in atomic and in phased operations', async () => {
      const before = await shop.carts();
      const work = async () => {
        await insert();
        await shop.dataSource.transaction((manager) =>
          manager.insert(Cart, { name: randomUUID() }),
        );
        const own = shop.dataSource.createQueryRunner();
        await own.startTransaction();
        await own.manager.save(Cart, { name: randomUUID() });
        await own.commitTransaction();
        await own.release();
        ran.push('done');
      };
      await shop.handle(() => {
        afterCommit(work);
        return {};
      });
      await shop.handlePhased(async (phases) => {
        await phases.local('one', () => Promise.resolve(afterCommit(work)));
        return phases.finish(() => Promise.resolve(afterCommit(work) ?? {}));
      });
      await eventually('all have run', () => ran.length === 3);
      expect(await shop.carts()).toBe(before + 9);
    });

    it.each<[string, () => unknown]>([
      [
        'a refusal',
        () => {
          throw new ConflictException('as asked');
        },
      ],
      [
        'an error',
        () => {
          throw new Error('as asked');
        },
      ],
      ['a mistake of the handler', () => shop.dataSource.query('COMMIT').catch(() => undefined)],
      [
        'a COMMIT that PostgreSQL refuses',
        async () => {
          await outsideTransaction(() =>
            shop.dataSource.query(
              'CREATE TABLE unique_late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)',
            ),
          );
          await shop.dataSource.query('INSERT INTO unique_late VALUES (1), (1)');
        },
      ],
    ])('does not run after %s', async (_name, end) => {
      await shop.handle(async () => {
        afterCommit(note('undone'));
        await end();
        return {};
      });
      await idle();
      expect(ran).toEqual([]);
    });

    it('is dropped with the nested transaction around it, and kept where that is committed', async () => {
      await shop.handle(async () => {
        afterCommit(note('before'));
        await shop.dataSource.transaction(async () => {
          afterCommit(note('kept'));
        });
        const fail = shop.dataSource.transaction(async (manager) => {
          afterCommit(note('dropped'));
          await manager.transaction(async () => afterCommit(note('dropped inside')));
          throw new Error('as asked');
        });
        await fail.catch(() => undefined);
        const own = shop.dataSource.createQueryRunner();
        await own.startTransaction();
        afterCommit(note('dropped by a runner'));
        await own.rollbackTransaction();
        await own.release();
        afterCommit(note('after'));
        return {};
      });
      await eventually('they have run', () => ran.length >= 3);
      await idle();
      expect(ran).toEqual(['before', 'kept', 'after']);
    });

    it('runs after the commit of its phase, whatever becomes of later ones, and not again on a retry', async () => {
      const work =
        (fail: boolean) => async (phases: Parameters<ScriptedShop['script']['phased']>[0]) => {
          await phases.local('one', async () => afterCommit(note('local')));
          await eventually('the local one has run', () => ran.includes('local'));
          return phases.finish(async () => {
            afterCommit(note('finish'));
            if (fail) throw new Error('as asked');
            return new ConflictException('declined');
          });
        };
      const first = await shop.handlePhased(work(true));
      expect(first.status).toBe(500);
      await idle();
      expect(ran).toEqual(['local']);
      shop.script.phased = work(false);
      expect((await shop.post('/scripted/phased', {}, first.key)).status).toBe(409);
      await eventually('the last one has run', () => ran.length > 1);
      expect(ran).toEqual(['local', 'finish']);
    });

    it('throws where no transaction is open', async () => {
      const messages = [messageOf(() => afterCommit(note('never')))];
      await shop.handle(() => {
        messages.push(outsideTransaction(() => messageOf(() => afterCommit(note('never')))));
        afterCommit(() => messages.push(messageOf(() => afterCommit(note('never')))));
        setTimeout(() => messages.push(messageOf(() => afterCommit(note('never')))), 100);
        return {};
      });
      await shop.handlePhased((phases) => {
        messages.push(messageOf(() => afterCommit(note('never'))));
        return phases.finish(() => Promise.resolve({}));
      });
      await eventually('all have tried', () => messages.length === 5);
      for (const message of messages)
        expect(message).toMatch(/where no transaction of a request is open/);
      expect(ran).toEqual([]);
    });
  });

  describe('a subscriber of TypeORM’s', () => {
    it('hears before and after the one COMMIT, and nothing at savepoints', async () => {
      const seen: unknown[] = [];
      const name = randomUUID();
      CommitSubscriber.before = async () =>
        seen.push(await outsideTransaction(() => carts().countBy({ name })));
      CommitSubscriber.after = async ({ manager }) =>
        seen.push(await manager.countBy(Cart, { name }));
      await shop.handle(async () => {
        await insert(name);
        await shop.dataSource.transaction((manager) =>
          manager.transaction((inner) => inner.save(Cart, { name: randomUUID() })),
        );
        const own = shop.dataSource.createQueryRunner();
        await own.manager.save(Cart, { name: randomUUID() });
        await own.startTransaction();
        await own.rollbackTransaction();
        await own.release();
        expect(heard).toEqual([]);
        return {};
      });
      await eventually('both are heard', () => seen.length === 2);
      expect(heard).toEqual(['before', 'after']);
      expect(seen).toEqual([0, 1]);
    });

    it('hears of each phase, and of nothing that is undone or replayed', async () => {
      const reply = await shop.handlePhased(async (phases) => {
        await phases.local('one', () => insert().then(() => 1));
        return phases.finish(() => insert().then(() => ({})));
      });
      await eventually('both are heard', () => heard.length === 4);
      expect(heard).toEqual(['before', 'after', 'before', 'after']);
      await shop.post('/scripted/phased', {}, reply.key);
      await shop.handle(async () => {
        await insert();
        throw new ConflictException('as asked');
      });
      await idle();
      expect(heard).toHaveLength(4);
    });

    it('may write before the commit, by the event’s manager and by repositories', async () => {
      const names = [randomUUID(), randomUUID()];
      CommitSubscriber.before = async ({ manager }) => {
        CommitSubscriber.before = () => undefined;
        await manager.insert(Cart, { name: names[0] });
        await insert(names[1]);
      };
      const reply = await shop.handle(() => ({}));
      expect(reply.status).toBe(201);
      for (const name of names) expect(await carts().countBy({ name })).toBe(1);
    });

    it('undoes all where it throws before the commit, and is logged where it throws after', async () => {
      const before = await shop.carts();
      CommitSubscriber.before = () => {
        throw new Error('no commit');
      };
      const refused = await shop.handle(() => insert().then(() => ({})));
      expect([refused.status, refused.json['code']]).toEqual([500, 'idempotency_commit_failed']);
      expect(shop.errors.at(-1)).toContain('no commit');
      expect([await shop.carts(), heard]).toEqual([before, ['before']]);
      CommitSubscriber.before = () => undefined;
      CommitSubscriber.after = () => {
        throw new Error('too late');
      };
      const done = await shop.handle(() => insert().then(() => ({})));
      expect(done.status).toBe(201);
      await eventually('it is logged', () => shop.errors.at(-1)?.includes('too late') ?? false);
    });
  });
});
