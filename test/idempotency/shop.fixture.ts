/**
 * A small shop on plain NestJS, written as a user of the idempotency module would write it. It runs on both HTTP
 * adapters, and the request body tells its handlers what to do.
 */
import {
  Body,
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  HttpException,
  Injectable,
  type INestApplication,
  Module,
  Param,
  Post,
  type Provider,
  Res,
  UnauthorizedException,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { InjectRepository, TypeOrmModule } from '@nestjs/typeorm';
import { AsyncLocalStorage } from 'node:async_hooks';
import { EventEmitter, once } from 'node:events';
import { Column, DataSource, Entity, PrimaryGeneratedColumn, type Repository } from 'typeorm';
import {
  CreateIdempotencyKeys1764000000000,
  Idempotent,
  IdempotencyKeyEntity,
  IdempotencyModule,
  type IdempotencyOptions,
  Phases,
} from '../../src/idempotency';
import { freshDatabase } from '../support/database';

@Entity('orders')
export class Order {
  @PrimaryGeneratedColumn() id: number;
  @Column() account: string;
  @Column() amount: number;
}

/** What a request asks its handler to do. */
export interface OrderBody {
  amount: number;
  /** Respond with this status by throwing. */
  fail?: number;
  /** Respond with this status by returning. */
  status?: number;
  /** Mark the thrown error as worth retrying. */
  retryable?: boolean;
  /** Wait in the handler until `shop.release(name)`. */
  hold?: string;
}

/** Lets a test watch and control the handlers. */
@Injectable()
export class Watch extends EventEmitter {
  runs = 0;
  remoteCalls: string[] = [];
  /** What the far side has done, by remote key. */
  effects = new Map<string, number>();
  remote: (key: string, signal: AbortSignal) => Promise<unknown> = () =>
    Promise.resolve('approved');
  readonly #released = new Set<string>();

  /** Called in a handler: reports that it has arrived, and waits. */
  async hold(name?: string): Promise<void> {
    if (!name) return;
    this.emit(`held ${name}`);
    if (!this.#released.delete(name)) await once(this, `release ${name}`);
  }

  release(name: string): void {
    if (!this.emit(`release ${name}`)) this.#released.add(name);
  }
}

/** The account of an injected request; a request on a socket cannot set it. */
export const impersonated = new AsyncLocalStorage<string>();

@Injectable()
class HeaderGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<{
      headers: Record<string, string>;
      account?: string;
    }>();
    const account = impersonated.getStore() ?? request.headers['authorization'];
    if (!account) throw new UnauthorizedException();
    request.account = account;
    return true;
  }
}

@Controller('orders')
export class OrdersController {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly dataSource: DataSource,
    private readonly watch: Watch,
  ) {}

  @Get()
  list() {
    return this.orders.find({ order: { id: 'ASC' } });
  }

  @Post()
  @Idempotent()
  async create(@Body() body: OrderBody, @Res({ passthrough: true }) response: StatusSetter) {
    this.watch.runs += 1;
    const order = await this.orders.save({ account: 'a', amount: body.amount });
    await this.watch.hold(body.hold);
    // Changes after the fingerprint was taken must not matter.
    (body as { amount?: number }).amount = undefined;
    if (body.fail) {
      const error = new HttpException({ failed: body.fail, order: order.id }, body.fail);
      throw body.retryable ? Object.assign(error, { retryable: true }) : error;
    }
    if (body.status) response.status(body.status);
    return { id: order.id, runs: this.watch.runs };
  }

  /** Writes in four ways, none of which is passed the transaction. */
  @Post('many')
  @Idempotent()
  async many(@Body() body: OrderBody) {
    const row = () => ({ account: 'a', amount: body.amount });
    await this.orders.insert(row());
    await this.dataSource.getRepository(Order).save(row());
    await this.dataSource.query('INSERT INTO orders (account, amount) VALUES ($1, $2)', ['a', 1]);
    await this.dataSource.createQueryBuilder().insert().into(Order).values(row()).execute();
    await this.dataSource.transaction((manager) => manager.save(Order, row()));
    const count = await this.orders.count();
    await this.watch.hold(body.hold);
    if (body.fail) throw new HttpException('as asked', body.fail);
    return { count };
  }

  @Post('required/:name')
  @Idempotent({ required: true, ttl: 60, headers: ['x-version'] })
  required(@Param('name') name: string) {
    return { name };
  }

  @Post('plain')
  async plain(@Body() body: OrderBody) {
    return this.orders.save({ account: 'a', amount: body.amount });
  }

  @Post('pay')
  @Idempotent({ phased: true })
  async pay(@Body() body: OrderBody, @Phases() phases: Phases) {
    this.watch.runs += 1;
    const order = await phases.local('order', () =>
      this.orders.save({ account: 'a', amount: body.amount }),
    );
    const outcome = await phases.remote('charge', async (key, signal) => {
      this.watch.remoteCalls.push(key);
      await this.watch.hold(body.hold);
      const result = await this.watch.remote(key, signal);
      this.watch.effects.set(key, order.amount);
      return result;
    });
    return phases.finish(async () => {
      await this.orders.update(order.id, { account: String(outcome) });
      if (body.fail) return new HttpException({ declined: order.id }, body.fail);
      return { id: order.id, outcome };
    });
  }
}

export interface StatusSetter {
  status(code: number): unknown;
}

export type Adapter = 'fastify' | 'express';

export interface Shop {
  readonly app: INestApplication;
  readonly url: string;
  readonly watch: Watch;
  readonly dataSource: DataSource;
  /** Sends a POST; `key` becomes the header. */
  post(path: string, body: unknown, key?: string, headers?: Record<string, string>): Promise<Reply>;
  close(): Promise<void>;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

export interface ShopOptions {
  readonly options?: Partial<IdempotencyOptions>;
  readonly poolSize?: number;
  readonly pipeline?: boolean;
  /** Another shop's database. */
  readonly databaseUrl?: string;
  readonly controllers?: (new (...args: never[]) => unknown)[];
  /** In addition to the shop's. */
  readonly providers?: Provider[];
  /** In addition to the shop's; their tables are made too. */
  readonly entities?: (new () => object)[];
  /** More options of the DataSource, such as `subscribers`. */
  readonly dataSource?: object;
  /** More settings of the pool, such as `query_timeout`. */
  readonly extra?: object;
  /** Whether the application keeps the bytes of bodies. */
  readonly rawBody?: boolean;
  /** Called before the application listens. */
  readonly configure?: (app: INestApplication) => void;
}

/** Bounds that a normal request never reaches, and no purge but the one that a test starts. */
const PATIENT = {
  remoteDeadlineMs: 60_000,
  idleTransactionTimeoutMs: 60_000,
  maxWaitSeconds: 60,
  purgeIntervalMs: 0,
};

export async function openShop(adapter: Adapter, given: ShopOptions = {}): Promise<Shop> {
  const database = given.databaseUrl
    ? { url: given.databaseUrl, drop: () => Promise.resolve() }
    : await freshDatabase();
  const accountOf = (request: unknown) => (request as { account?: string }).account;

  @Module({
    imports: [
      TypeOrmModule.forRoot({
        type: 'postgres',
        url: database.url,
        entities: [Order, IdempotencyKeyEntity, ...(given.entities ?? [])],
        migrations: [CreateIdempotencyKeys1764000000000],
        migrationsRun: !given.databaseUrl,
        retryAttempts: 0,
        ...given.dataSource,
        extra: {
          pipeline: given.pipeline ?? true,
          max: given.poolSize ?? 8,
          // Even a slow machine reaches neither these nor the module's below; a test about one of them sets its own.
          connectionTimeoutMillis: 60_000,
          query_timeout: 60_000,
          ...given.extra,
        },
      }),
      TypeOrmModule.forFeature([Order]),
      IdempotencyModule.forRoot({ scope: accountOf, ...PATIENT, ...given.options }),
    ],
    controllers: [OrdersController, ...(given.controllers ?? [])],
    providers: [Watch, { provide: APP_GUARD, useClass: HeaderGuard }, ...(given.providers ?? [])],
  })
  class ShopModule {}

  const app = await NestFactory.create(
    ShopModule,
    adapter === 'fastify' ? new FastifyAdapter() : new ExpressAdapter(),
    { logger: false, abortOnError: false, rawBody: given.rawBody ?? false },
  );
  given.configure?.(app);
  const dataSource = app.get(DataSource);
  if (!given.databaseUrl) {
    await dataSource.query('CREATE TABLE orders (id serial PRIMARY KEY, account text, amount int)');
  }
  try {
    await app.listen(0, '127.0.0.1');
  } catch (error) {
    await app.close();
    await database.drop();
    throw error;
  }
  const url = await app.getUrl();
  return {
    app,
    url,
    watch: app.get(Watch),
    dataSource,
    post: async (path, body, key, headers = {}) => {
      const response = await fetch(`${url}${path}`, {
        method: 'POST',
        headers: {
          authorization: 'a',
          'content-type': 'application/json',
          ...(key === undefined ? {} : { 'idempotency-key': key }),
          ...headers,
        },
        body: JSON.stringify(body),
      });
      const text = await response.text();
      const json = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {};
      return { status: response.status, headers: response.headers, text, json };
    },
    close: async () => {
      await app.close();
      await database.drop();
    },
  };
}
