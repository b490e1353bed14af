/** Handlers that do what the test in hand says, in a shop whose orders have lines and whose log is kept. */
import {
  type ArgumentsHost,
  type CallHandler,
  Catch,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  HttpException,
  type INestApplication,
  Injectable,
  type NestInterceptor,
  Post,
} from '@nestjs/common';
import { APP_FILTER, APP_INTERCEPTOR, HttpAdapterHost } from '@nestjs/core';
import { randomUUID } from 'node:crypto';
import {
  Column,
  Entity,
  ManyToOne,
  OneToMany,
  PrimaryGeneratedColumn,
  type Relation,
} from 'typeorm';
import { catchError, defer, mergeMap, type Observable, throwError } from 'rxjs';
import { Idempotent, Phases } from '../../../src/idempotency';
import { type Adapter, openShop, type Reply, type Shop, type ShopOptions } from '../shop.fixture';
import { countKeys } from '../shop-database.fixture';

@Entity('carts')
export class Cart {
  @PrimaryGeneratedColumn() id: number;
  @Column({ unique: true }) name: string;
  @OneToMany(() => CartLine, (line) => line.cart, { cascade: true }) lines: Relation<CartLine>[];
}

@Entity('cart_lines')
export class CartLine {
  @PrimaryGeneratedColumn() id: number;
  @Column() item: string;
  @ManyToOne(() => Cart, (cart) => cart.lines) cart: Relation<Cart>;
}

/** What the handlers do, and what happens around them when they fail. */
@Injectable()
export class Script {
  filter: () => unknown = () => undefined;
  interceptor: () => unknown = () => undefined;
  atomic: () => unknown = () => ({});
  phased: (phases: Phases) => Promise<unknown> = () => Promise.resolve({});
}

@Catch()
class ScriptedFilter implements ExceptionFilter {
  constructor(
    private readonly host: HttpAdapterHost,
    private readonly script: Script,
  ) {}

  async catch(failure: Error, host: ArgumentsHost): Promise<void> {
    await this.script.filter();
    const status = failure instanceof HttpException ? failure.getStatus() : 500;
    const body = { problem: failure.message };
    this.host.httpAdapter.reply(host.switchToHttp().getResponse(), body, status);
  }
}

/** It stands outside of the module's own interceptor. */
@Injectable()
class ScriptedInterceptor implements NestInterceptor {
  constructor(private readonly script: Script) {}

  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next
      .handle()
      .pipe(
        catchError((failure: unknown) =>
          defer(async () => this.script.interceptor()).pipe(
            mergeMap(() => throwError(() => failure)),
          ),
        ),
      );
  }
}

@Controller('scripted')
class ScriptedController {
  constructor(private readonly script: Script) {}

  @Post()
  @Idempotent()
  atomic() {
    return this.script.atomic();
  }

  @Post('serializable')
  @Idempotent({ isolation: 'SERIALIZABLE' })
  serializable() {
    return this.script.atomic();
  }

  @Post('phased')
  @Idempotent({ phased: true })
  phased(@Phases() phases: Phases) {
    return this.script.phased(phases);
  }

  @Post('phased/repeatable')
  @Idempotent({ phased: true, isolation: 'REPEATABLE READ' })
  repeatable(@Phases() phases: Phases) {
    return this.script.phased(phases);
  }
}

export interface ScriptedShop extends Shop {
  readonly script: Script;
  /** What the application logged as errors. */
  readonly errors: string[];
  /** Runs `work` as an atomic handler, under a new key. */
  handle(work: () => unknown, path?: string): Promise<Reply & { readonly key: string }>;
  /** Runs `work` as a phased handler. */
  handlePhased(
    work: (phases: Phases) => Promise<unknown>,
    path?: string,
  ): Promise<Reply & { readonly key: string }>;
  /** How many carts are stored. */
  carts(): Promise<number>;
  /** Whether an answer is stored under this key. */
  isStored(key: string): Promise<boolean>;
}

export async function openScriptedShop(
  adapter: Adapter,
  given: ShopOptions = {},
): Promise<ScriptedShop> {
  const errors: string[] = [];
  const ignore = () => undefined;
  const error = (message: unknown, stack?: unknown) =>
    errors.push(`${String(message)} ${String(stack)}`);
  const shop = await openShop(adapter, {
    ...given,
    entities: [Cart, CartLine],
    controllers: [ScriptedController, ...(given.controllers ?? [])],
    providers: [
      Script,
      { provide: APP_FILTER, useClass: ScriptedFilter },
      { provide: APP_INTERCEPTOR, useClass: ScriptedInterceptor },
      ...(given.providers ?? []),
    ],
    configure: (app: INestApplication) => {
      app.useLogger({ log: ignore, warn: ignore, error });
      given.configure?.(app);
    },
  });
  await shop.dataSource.query('CREATE TABLE carts (id serial PRIMARY KEY, name text UNIQUE)');
  await shop.dataSource.query(
    'CREATE TABLE cart_lines (id serial PRIMARY KEY, item text, "cartId" int REFERENCES carts)',
  );
  const script = shop.app.get(Script);
  const post = async (path: string) => {
    const key = randomUUID();
    return { ...(await shop.post(`/scripted${path}`, {}, key)), key };
  };
  return {
    ...shop,
    script,
    errors,
    handle: (work, path = '') => {
      script.atomic = work;
      return post(path);
    },
    handlePhased: (work, path = '/phased') => {
      script.phased = work;
      return post(path);
    },
    carts: () => shop.dataSource.getRepository(Cart).count(),
    isStored: async (key) => (await countKeys(shop, key)) === 1,
  };
}
