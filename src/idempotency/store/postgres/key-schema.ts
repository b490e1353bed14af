/** The tables of this package when an application starts: made where that is asked for, and checked always. */
import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnModuleInit,
  type Type,
} from '@nestjs/common';
import { DataSource, type MigrationInterface, type QueryRunner } from 'typeorm';
import { RESOLVED_OPTIONS, type ResolvedOptions } from '../../contract/idempotency.options';
import { CreateIdempotencyKeys1764000000000 } from './key.migration';

/** Processes that start together make the tables one after the other. */
const SCHEMA_LOCK = 0x6964_656d;

/** The store knows by this name that another request has stored its response first. */
const PRIMARY_KEY = 'idempotency_keys_pkey';

/** The steps of the schema in order. A step is done when its columns are there. */
const STEPS: readonly { migration: Type<MigrationInterface>; columns: readonly string[] }[] = [
  {
    migration: CreateIdempotencyKeys1764000000000,
    columns: (
      'account mode key claim_id attempt operation fingerprint fingerprint_version parameters ' +
      'original_request phases status headers body deflated created_at expires_at lease_until ' +
      'request retry_at parked_at'
    ).split(' '),
  },
];

/** For the `migrations` of an application's DataSource: all of this package, in order. */
export const idempotencyMigrations: Type<MigrationInterface>[] = STEPS.map(
  ({ migration }) => migration,
);

const CURES =
  "Add ...idempotencyMigrations to your DataSource's migrations and run them, " +
  'or set createSchema: true in IdempotencyModule.forRoot().';

@Injectable()
export class KeySchema implements OnModuleInit, OnApplicationBootstrap {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
  ) {}

  /** @throws Error in words, where the database is another, or a table is missing and cannot be made */
  async onModuleInit(): Promise<void> {
    const { type } = this.dataSource.options;
    if (type !== 'postgres') {
      throw new Error(
        `IdempotencyModule: keys are kept in PostgreSQL, and the DataSource is of type ${type}.`,
      );
    }
    if (!this.options.createSchema) return;
    try {
      await this.dataSource.transaction(async ({ queryRunner }) => {
        const runner = queryRunner as QueryRunner;
        await runner.query('SELECT pg_advisory_xact_lock($1)', [SCHEMA_LOCK]);
        const present = await this.presentColumns(runner);
        for (const { migration: Migration, columns } of STEPS) {
          if (columns.some((column) => !present.has(column))) await new Migration().up(runner);
        }
      });
    } catch (error) {
      throw new Error(
        `IdempotencyModule: the table idempotency_keys could not be made: ${(error as Error).message}.`,
        { cause: error },
      );
    }
  }

  /**
   * After every `onModuleInit`, because an application may run its migrations there. Before the DataSource is
   * connected, which an application may do later by itself, there is nothing to ask.
   *
   * @throws Error that says how to make what is missing
   */
  async onApplicationBootstrap(): Promise<void> {
    if (!this.dataSource.isInitialized) return;
    const runner = this.dataSource.createQueryRunner();
    try {
      const wrong = await this.wrongWith(runner);
      if (wrong) throw new Error(`IdempotencyModule: the table idempotency_keys ${wrong}`);
    } finally {
      await runner.release();
    }
  }

  private async wrongWith(runner: QueryRunner): Promise<string | undefined> {
    const present = await this.presentColumns(runner);
    if (present.size === 0) return `does not exist in this database. ${CURES}`;
    const missing = STEPS.flatMap(({ columns }) => columns).filter((name) => !present.has(name));
    if (missing.length > 0) {
      return `is of another version of this package: it has no ${missing.join(', ')}. ${CURES}`;
    }
    const [{ made }] = (await runner.query('SELECT to_regclass($1) IS NOT NULL AS made', [
      PRIMARY_KEY,
    ])) as [{ made: boolean }];
    return made
      ? undefined
      : `was made by something else, such as TypeORM's synchronize: its primary key is not called ${PRIMARY_KEY}. Remove it. ${CURES}`;
  }

  /** None where the table does not exist, as the connection's search_path finds it. */
  private async presentColumns(runner: QueryRunner): Promise<Set<string>> {
    const rows = (await runner.query(
      `SELECT attname AS name FROM pg_attribute
       WHERE attrelid = to_regclass('idempotency_keys') AND attnum > 0 AND NOT attisdropped`,
    )) as { name: string }[];
    return new Set(rows.map(({ name }) => name));
  }
}
