/**
 * The application that is measured: for each case a handler under `@Idempotent()` and the same
 * without. Started by stage.ts with DATABASE_URL and, for the tier on Redis, REDIS_URL.
 */
import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import {
  Body,
  type CallHandler,
  ConflictException,
  Controller,
  type ExecutionContext,
  Headers,
  Inject,
  Module,
  type NestInterceptor,
  Post,
  UseInterceptors,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Redis } from 'ioredis';
import { Column, DataSource, Entity, PrimaryColumn, type QueryRunner } from 'typeorm';
import { disablePretenuring } from '../src/runtime/heap';
import {
  CreateIdempotencyKeys1764000000000,
  Idempotent,
  IdempotencyModule,
  Phases,
} from '../src/idempotency';
import { paymentBody } from './keys';

const {
  DATABASE_URL = '',
  REDIS_URL,
  POOL = '8',
  REPLAY_MEMORY_BYTES = '67108864',
  REPLAY_REDIS,
  ACCOUNT = 'bench',
  MODE = '',
  LOG = 'on',
} = process.env;

const SCOPE = { account: ACCOUNT, mode: MODE };

/** About 600 bytes as JSON: the least that a payments API responds with. */
const RESPONSE = {
  id: 'ord_0123456789abcdefghijklmn',
  object: 'order',
  amount: 2000,
  description: 'x'.repeat(500),
};

@Entity('orders')
class Order {
  @PrimaryColumn('uuid') id: string;
  @Column('integer') amount: number;
  @Column('text') description: string;
}

const DAY_MS = 86_400_000;

/** What an interceptor costs that does nothing. */
class PassThrough implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler) {
    return next.handle();
  }
}

interface OrderBody {
  readonly amount: number;
}

interface PhasedBody extends OrderBody {
  /** The far side does not respond: the key is left with an expired lease. */
  readonly lost?: boolean;
}

@Controller()
class Cases {
  readonly #redis = REDIS_URL ? new Redis(REDIS_URL) : undefined;

  constructor(@Inject(DataSource) private readonly dataSource: DataSource) {}

  @Post('plain/insert')
  async plainInsert(@Body() { amount }: OrderBody) {
    await this.insert(amount);
    return RESPONSE;
  }

  @Post('ours/insert')
  @Idempotent({ required: true })
  async insertOnce(@Body() { amount }: OrderBody) {
    await this.insert(amount);
    return RESPONSE;
  }

  @Post('plain/named')
  async plainNamed(@Body() { amount }: OrderBody) {
    await this.insertNamed(amount);
    return RESPONSE;
  }

  @Post('ours/named')
  @Idempotent({ required: true })
  async namedOnce(@Body() { amount }: OrderBody) {
    await this.insertNamed(amount);
    return RESPONSE;
  }

  /** Each response differs, as those of payments do. */
  @Post('ours/payment')
  @Idempotent({ required: true })
  async paymentOnce(@Body() { amount }: OrderBody) {
    await this.insertNamed(amount);
    return paymentBody();
  }

  @Post('ours/phased')
  @Idempotent({ required: true, phased: true })
  async phasedOnce(@Body() { amount, lost }: PhasedBody, @Phases() phases: Phases) {
    await phases.local('order', () => this.insertNamed(amount));
    await phases.remote('charge', () =>
      lost ? Promise.reject(new Error('No response.')) : Promise.resolve({ paid: true }),
    );
    return phases.finish(() => Promise.resolve(paymentBody()));
  }

  @Post('plain/four')
  async plainFour(@Body() { amount }: OrderBody) {
    await this.dataSource.transaction(async ({ queryRunner }) => {
      for (let at = 0; at < 4; at += 1) await this.insert(amount, queryRunner);
    });
    return RESPONSE;
  }

  @Post('ours/four')
  @Idempotent({ required: true })
  async fourOnce(@Body() { amount }: OrderBody) {
    for (let at = 0; at < 4; at += 1) await this.insert(amount);
    return RESPONSE;
  }

  @Post('plain/nothing')
  @UseInterceptors(PassThrough)
  nothing() {
    return RESPONSE;
  }

  @Post('plain/redis')
  @UseInterceptors(PassThrough)
  async get() {
    await this.#redis?.get('bench');
    return RESPONSE;
  }

  @Post('plain/select')
  @UseInterceptors(PassThrough)
  async select(@Headers('idempotency-key') key: string) {
    const runner = this.dataSource.createQueryRunner();
    try {
      const client = (await runner.connect()) as { query(statement: object): Promise<unknown> };
      await client.query({
        name: 'select_key',
        text: `SELECT status, headers, body FROM idempotency_keys
          WHERE account = $1 AND mode = $2 AND key = $3`,
        values: [ACCOUNT, MODE, key],
      });
    } finally {
      await runner.release();
    }
    return RESPONSE;
  }

  /** As in many a tutorial: the key commits with the write, and a copy waits at the unique index. */
  @Post('textbook/transaction')
  textbookTransaction(@Body() { amount }: OrderBody, @Headers('idempotency-key') key: string) {
    return this.dataSource.transaction(async (manager) => {
      const taken = await manager.query<unknown[]>(
        'INSERT INTO textbook_keys (key) VALUES ($1) ON CONFLICT DO NOTHING RETURNING key',
        [key],
      );
      if (taken.length === 0) {
        const [row] = await manager.query<[{ response: object }]>(
          'SELECT response FROM textbook_keys WHERE key = $1',
          [key],
        );
        return row.response;
      }
      await this.insertNamed(amount, manager.queryRunner);
      await manager.query('UPDATE textbook_keys SET response = $2 WHERE key = $1', [
        key,
        JSON.stringify(RESPONSE),
      ]);
      return RESPONSE;
    });
  }

  /** As in as many others: nothing holds the key and the write together. */
  @Post('textbook/redis')
  async textbookRedis(@Body() { amount }: OrderBody, @Headers('idempotency-key') key: string) {
    const name = `textbook:${key}`;
    const taken = await this.#redis?.set(name, '', 'PX', DAY_MS, 'NX');
    if (taken !== 'OK') {
      const stored = await this.#redis?.get(name);
      if (!stored) throw new ConflictException();
      return JSON.parse(stored) as object;
    }
    await this.insertNamed(amount);
    await this.#redis?.set(name, JSON.stringify(RESPONSE), 'PX', DAY_MS);
    return RESPONSE;
  }

  /** As a repository does it: TypeORM builds the statement. */
  private async insert(amount: number, runner?: QueryRunner) {
    const orders = (runner?.manager ?? this.dataSource.manager).getRepository(Order);
    await orders.insert({ id: randomUUID(), amount, description: RESPONSE.description });
  }

  /** The least that one INSERT can cost. */
  private async insertNamed(amount: number, within?: QueryRunner) {
    const ambient = within ?? this.dataSource.manager.queryRunner;
    const runner = ambient ?? this.dataSource.createQueryRunner();
    try {
      const client = (await runner.connect()) as { query(statement: object): Promise<unknown> };
      await client.query({
        name: 'insert_order',
        text: 'INSERT INTO orders (id, amount, description) VALUES ($1, $2, $3)',
        values: [randomUUID(), amount, RESPONSE.description],
      });
    } finally {
      if (!ambient) await runner.release();
    }
  }
}

@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: DATABASE_URL,
      entities: [Order],
      migrations: [CreateIdempotencyKeys1764000000000],
      migrationsRun: true,
      extra: { max: Number(POOL), pipeline: true },
    }),
    IdempotencyModule.forRoot({
      scope: () => SCOPE,
      purgeIntervalMs: 0, // purging is measured by itself
      replayMemoryBytes: Number(REPLAY_MEMORY_BYTES),
      replayRedisUrl: REPLAY_REDIS && REDIS_URL,
    }),
  ],
  controllers: [Cases],
})
class BenchModule {}

async function main(): Promise<void> {
  disablePretenuring();
  const app = await NestFactory.create<NestFastifyApplication>(BenchModule, new FastifyAdapter(), {
    logger: LOG === 'off' ? false : ['error'],
  });
  const dataSource = app.get(DataSource);
  await dataSource.query(
    'CREATE TABLE IF NOT EXISTS orders (id uuid PRIMARY KEY, amount integer, description text)',
  );
  await dataSource.query(
    'CREATE TABLE IF NOT EXISTS textbook_keys (key text PRIMARY KEY, response json)',
  );
  await app.listen(0, '127.0.0.1');
  process.stdout.write(`listens on ${await app.getUrl()}\n`);
  process.on('SIGTERM', () => process.exit(0)); // so that a profile is written
  process.on('message', (question) => {
    if (question === 'memory') process.send?.(process.memoryUsage());
  });
}

main().catch((error: Error) => {
  process.stderr.write(`${error.stack ?? error.message}\n`);
  process.exit(1);
});
