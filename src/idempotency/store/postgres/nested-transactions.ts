/** The nested transactions of a handler's transaction: savepoints, which end in the reverse order (R9a). */
import type { CommitHooks } from './after-commit';
import type { Lineage, Savepoints, Send } from './handler-query-runner';

/** What the savepoints need of the connection of their transaction. */
export interface NestingConnection {
  readonly send: Send;
  /** What waits for the commit; nothing where nothing does. */
  readonly hooks?: CommitHooks;
  /** @throws Error where the transaction is over */
  requireOpen(): void;
  /** From here on the transaction can only be undone. @returns the error that says why */
  fail(message: string): Error;
}

/** The levels of PostgreSQL, from the weakest. It treats the first two alike. */
const LEVELS = ['READ UNCOMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'];

interface Nested {
  readonly name: string;
  /** Whether somebody wrote meanwhile who is not inside of it. */
  mixed: boolean;
  /** How much waited for the commit when it began. */
  readonly hooks: number;
}

export class NestedTransactions implements Savepoints {
  /** In the order of their beginning. */
  private readonly open: Nested[] = [];
  private count = 0;

  constructor(private readonly connection: NestingConnection) {}

  get areOpen(): boolean {
    return this.open.length > 0;
  }

  /** A statement that may write was sent from inside of these savepoints. */
  recordWrite(lineage: Lineage): void {
    for (const nested of this.open) nested.mixed ||= !lineage.includes(nested.name);
  }

  fail(message: string): Error {
    return this.connection.fail(message);
  }

  async begin(level?: string): Promise<string> {
    if (level !== undefined) await this.checkLevel(level);
    const name = `paidonce_${++this.count}`;
    const nested = { name, mixed: false, hooks: this.connection.hooks?.count ?? 0 };
    this.open.push(nested);
    try {
      await this.connection.send(`SAVEPOINT ${name}`);
    } catch (error) {
      this.open.splice(this.open.indexOf(nested), 1);
      throw error;
    }
    return name;
  }

  async end(name: string, how: 'commit' | 'roll back'): Promise<void> {
    this.connection.requireOpen();
    const nested = this.latest(name);
    if (how === 'roll back') {
      await this.connection.send(`ROLLBACK TO SAVEPOINT ${name}`);
      this.connection.hooks?.dropAllBut(nested.hooks);
      this.latest(name);
      if (nested.mixed) {
        throw this.connection.fail(
          'A nested transaction was rolled back, and with it what others had written at the same time. Await it ' +
            'before others write, or let them write in the work that dataSource.transaction() is given.',
        );
      }
    }
    this.open.pop();
    try {
      await this.connection.send(`RELEASE SAVEPOINT ${name}`);
    } catch (error) {
      this.open.push(nested);
      throw error;
    }
  }

  private latest(name: string): Nested {
    const nested = this.open.at(-1);
    if (nested?.name === name) return nested;
    throw this.connection.fail(
      'Two nested transactions ran at the same time: one ended before another that had begun after it. ' +
        'Await each before the next begins.',
    );
  }

  private async checkLevel(level: string): Promise<void> {
    const { rows } = (await this.connection.send('SHOW transaction_isolation')) as {
      rows: [{ transaction_isolation: string }];
    };
    const own = rows[0].transaction_isolation.toUpperCase();
    const rank = (name: string) => Math.max(1, LEVELS.indexOf(name));
    if (rank(level) <= rank(own)) return;
    throw new Error(
      `The transaction of this request is ${own}, and a nested one cannot be ${level}: ` +
        `declare @Idempotent({ isolation: '${level}' }).`,
    );
  }
}
