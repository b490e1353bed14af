/** NestJS around the interceptor: serialisers, pipes, guards, filters, streams, and clients that leave. */
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { request as httpRequest, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import {
  type ArgumentsHost,
  BadRequestException,
  Body,
  type CallHandler,
  type CanActivate,
  Catch,
  ClassSerializerInterceptor,
  Controller,
  Delete,
  type ExceptionFilter,
  type ExecutionContext,
  Get,
  Global,
  Head,
  Header,
  Headers as AllHeaders,
  HttpCode,
  HttpException,
  type INestApplication,
  Injectable,
  Module,
  type NestInterceptor,
  Next,
  Options,
  Param,
  Patch,
  Post,
  Put,
  Redirect,
  RequestTimeoutException,
  Res,
  Scope,
  SetMetadata,
  Sse,
  StreamableFile,
  UnauthorizedException,
  UseGuards,
  UseInterceptors,
  ValidationPipe,
} from '@nestjs/common';
import { APP_INTERCEPTOR, HttpAdapterHost, NestFactory, Reflector } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { InjectRepository } from '@nestjs/typeorm';
import { Exclude } from 'class-transformer';
import { IsInt } from 'class-validator';
import {
  catchError,
  defer,
  delayWhen,
  EMPTY,
  from,
  fromEvent,
  map,
  NEVER,
  type Observable,
  of,
  race,
  retry,
  throwError,
} from 'rxjs';
import type { FastifyInstance } from 'fastify';
import { DataSource, type Repository } from 'typeorm';
import { Idempotent, IdempotencyModule, type IdempotencyOptions } from '../../src/idempotency';
import { eventually } from '../support/eventually';
import { type Adapter, openShop, Order, type Shop, type ShopOptions, Watch } from './shop.fixture';

class Profile {
  @Exclude() secret = 'the-excluded-field';
  constructor(readonly id: number) {}
}

class CreateProfile {
  @IsInt() amount: number;
}

/** Domain errors without HTTP statuses. */
class OutOfStock extends Error {}
class Broken extends Error {}

@Catch(OutOfStock, Broken)
class DomainFilter implements ExceptionFilter {
  static mapped = 0;
  constructor(private readonly host: HttpAdapterHost) {}

  catch(error: Error, host: ArgumentsHost) {
    DomainFilter.mapped += 1;
    const status = error instanceof OutOfStock ? 402 : 500;
    const body = { problem: error.message, mapped: DomainFilter.mapped };
    this.host.httpAdapter.reply(host.switchToHttp().getResponse(), body, status);
  }
}

/** What the outer interceptor of the tests does, by the request's `x-outer`. */
@Injectable()
class OuterInterceptor implements NestInterceptor {
  /** Tells it that `time is up`, or to let go of what is `late`. */
  static readonly clock = new EventEmitter();

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
    const handled = next.handle();
    switch (headers['x-outer']) {
      case 'wrap':
        return handled.pipe(map((data: { id: number }) => ({ data, id: data.id })));
      case 'timeout':
        return race(
          handled,
          fromEvent(OuterInterceptor.clock, 'time is up').pipe(
            map(() => {
              throw new RequestTimeoutException();
            }),
          ),
        );
      case 'fallback':
        return handled.pipe(catchError(() => of({ fallback: true })));
      case 'retry':
        return handled.pipe(retry(1));
      case 'late':
        return handled.pipe(delayWhen(() => fromEvent(OuterInterceptor.clock, 'late')));
      default:
        return handled;
    }
  }
}

@Injectable()
class RefusingInterceptor implements NestInterceptor {
  static refuseWith = 0;
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { refuseWith } = RefusingInterceptor;
    return refuseWith > 0
      ? throwError(() => new HttpException('refused by an interceptor', refuseWith))
      : next.handle().pipe(map((body: object) => ({ ...body, passed: true })));
  }
}

@Injectable()
class RevocationGuard implements CanActivate {
  static readonly revoked = new Set<string>();
  canActivate(context: ExecutionContext): boolean {
    const { account } = context.switchToHttp().getRequest<{ account: string }>();
    if (RevocationGuard.revoked.has(account)) throw new UnauthorizedException('revoked');
    return true;
  }
}

@Injectable({ scope: Scope.REQUEST })
class PerRequest {
  static made = 0;
  readonly number = (PerRequest.made += 1);
}

interface Reply {
  header(name: string, value: string | string[]): unknown;
}

abstract class InheritedController {
  constructor(@InjectRepository(Order) protected readonly orders: Repository<Order>) {}

  @Post('inherited')
  @Idempotent()
  inherited(@Body() body: { amount: number }) {
    return this.orders.save({ account: this.constructor.name, amount: body.amount });
  }

  @Post('overridden')
  @Idempotent()
  async overridden(@Body() body: { amount: number }) {
    return { by: 'base', amount: body.amount };
  }
}

@Controller('pipeline')
class PipelineController extends InheritedController {
  constructor(
    @InjectRepository(Order) orders: Repository<Order>,
    private readonly watch: Watch,
  ) {
    super(orders);
  }

  @Post('overridden')
  @Idempotent()
  override async overridden(@Body() body: { amount: number }) {
    const { amount } = await super.overridden(body);
    return { by: 'child', order: await this.write(), amount };
  }

  @Post('excluded')
  @Idempotent()
  async excluded() {
    return new Profile(await this.write());
  }

  @Post('validated')
  @Idempotent()
  async validated(@Body() body: CreateProfile) {
    await this.write();
    return { amount: body.amount };
  }

  @Post('guarded')
  @UseGuards(RevocationGuard)
  @Idempotent()
  async guarded() {
    return { order: await this.write() };
  }

  @Post('domain/:error')
  @Idempotent()
  async domain(@Param('error') error: string) {
    await this.write();
    throw error === 'stock' ? new OutOfStock('none left') : new Broken('fell over');
  }

  @Post('refused-inside')
  @Idempotent()
  @UseInterceptors(RefusingInterceptor)
  async refusedInside() {
    return { order: await this.write() };
  }

  @Post('refused-above')
  @UseInterceptors(RefusingInterceptor)
  @Idempotent()
  async refusedAbove() {
    return { order: await this.write() };
  }

  @Post('file')
  @Idempotent()
  async file() {
    await this.write();
    return new StreamableFile(Buffer.from('a file'), { type: 'text/plain' });
  }

  @Post('stream/:kind')
  @Idempotent()
  async stream(@Param('kind') kind: string) {
    await this.write();
    if (kind === 'node') return Readable.from(['a', 'b']);
    if (kind === 'web') return new Response('a web response').body;
    if (kind === 'response') return new Response('a web response', { status: 201 });
    return (async function* () {
      yield 'a';
    })();
  }

  @Post('empty')
  @Idempotent()
  empty() {
    return defer(() => from(this.write())).pipe(() => EMPTY);
  }

  @Post('several')
  @Idempotent()
  several() {
    return defer(() => from(this.write().then((id) => [{ id }, { id, last: true }]))).pipe(
      map((values) => values[1]),
    );
  }

  @Post('values')
  @Idempotent()
  values() {
    return of({ value: 1 }, { value: 2 }, { value: 3 });
  }

  @Post('observable')
  @Idempotent()
  observable() {
    return defer(async () => {
      const id = await this.write();
      await this.watch.hold('observable');
      return { id };
    });
  }

  @Post('observable-fails')
  @Idempotent()
  observableFails() {
    return defer(async () => {
      await this.write();
      throw new BadRequestException('after a write');
    });
  }

  @Post('never')
  @Idempotent()
  async never() {
    await this.write();
    this.watch.emit('held never');
    return NEVER;
  }

  @Post('held')
  @Idempotent()
  async held(@Body() body: { hold?: string }) {
    const id = await this.write();
    await this.watch.hold(body.hold);
    await this.write();
    return { id };
  }

  @Post('mutates')
  @Idempotent()
  async mutates(@Body() body: { tags: string[]; note?: string }) {
    body.tags.push('added');
    body.note = 'changed';
    return { order: await this.write(), body };
  }

  @Post('coded')
  @HttpCode(202)
  @Idempotent()
  @Header('x-made', 'here')
  @Header('Location', '/there')
  @Header('x-kept', 'kept')
  coded(@Res({ passthrough: true }) reply: Reply) {
    reply.header('set-cookie', ['one=1; Path=/', 'two=2; Path=/']);
    return { coded: true };
  }

  @Post('redirected')
  @Idempotent()
  @Redirect('/elsewhere', 303)
  async redirected() {
    await this.write();
    return { url: `/orders/${await this.write()}` };
  }

  @Post('no-content')
  @HttpCode(204)
  @Idempotent()
  async noContent() {
    await this.write();
  }

  @Post('body/:kind')
  @Idempotent()
  body(@Param('kind') kind: string): unknown {
    this.watch.runs += 1;
    return BODIES[kind];
  }

  @Put('verb')
  @Idempotent()
  put() {
    return this.orders.count().then(() => ({ verb: 'put' }));
  }

  @Patch('verb')
  @Idempotent()
  patch() {
    return { verb: 'patch' };
  }

  @Delete('verb')
  @Idempotent()
  delete() {
    return { verb: 'delete' };
  }

  @Get('safe')
  @Idempotent({ required: true })
  get() {
    return { run: (this.watch.runs += 1) };
  }

  @Head('safe-head')
  @Idempotent({ required: true })
  head() {
    this.watch.runs += 1;
  }

  @Options('safe')
  @Idempotent({ required: true })
  options() {
    return { run: (this.watch.runs += 1) };
  }

  @Post('undecorated')
  undecorated() {
    return { run: (this.watch.runs += 1) };
  }

  @SetMetadata('above', 1)
  @Idempotent()
  @SetMetadata('below', 2)
  @Post('decorated')
  decorated(@AllHeaders('x-seen') seen: string) {
    const { value } = Object.getOwnPropertyDescriptor(
      PipelineController.prototype,
      'decorated',
    ) as { value: { name: string } };
    const read = (name: string): unknown => Reflect.getMetadata(name, value);
    return { above: read('above'), below: read('below'), name: value.name, seen };
  }

  private async write(): Promise<number> {
    this.watch.runs += 1;
    return (await this.orders.save({ account: 'pipeline', amount: 1 })).id;
  }
}

@Controller({ path: 'scoped', scope: Scope.REQUEST })
class ScopedController {
  constructor(
    private readonly perRequest: PerRequest,
    @InjectRepository(Order) private readonly orders: Repository<Order>,
  ) {}

  @Post()
  @Idempotent()
  async create(@Body() body: { fail?: boolean }) {
    await this.orders.save({ account: 'scoped', amount: this.perRequest.number });
    if (body.fail) throw new BadRequestException(`in ${this.perRequest.number}`);
    return { made: this.perRequest.number };
  }
}

const BODIES: Record<string, unknown> = {
  undefined: undefined,
  null: null,
  string: 'plain text, ünïcode ✓',
  'empty-string': '',
  number: 42,
  zero: 0,
  false: false,
  array: [1, 'two', null],
  buffer: Buffer.from([0, 255, 10, 13, 128]),
  object: { nested: { ünï: '✓\u2028' } },
  big: { text: 'ü'.repeat(512 * 1024) },
};

interface Sent {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  readonly text: string;
}

const OPTIONS: ShopOptions = {
  controllers: [PipelineController, ScopedController],
  options: { storedHeaders: ['X-Kept'], idleTransactionTimeoutMs: 60_000 },
  poolSize: 4,
  configure: (app: INestApplication) => {
    app.useGlobalPipes(new ValidationPipe({ transform: true }));
    app.useGlobalFilters(new DomainFilter(app.get(HttpAdapterHost)));
    app.useGlobalInterceptors(new ClassSerializerInterceptor(app.get(Reflector)));
  },
};

describe.each<Adapter>(['fastify', 'express'])('the NestJS pipeline on %s', (adapter) => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop(adapter, {
      ...OPTIONS,
      providers: [PerRequest, { provide: APP_INTERCEPTOR, useClass: OuterInterceptor }],
    });
  });
  afterAll(() => shop.close());
  beforeEach(() => {
    RefusingInterceptor.refuseWith = 0;
    RevocationGuard.revoked.clear();
  });
  afterEach(async () => {
    await eventually('every transaction is over', async () => (await openTransactions()) === 0);
    await eventually('no connection is lent out', () => {
      const { totalCount, idleCount, waitingCount } = pool();
      return idleCount === totalCount && waitingCount === 0;
    });
  });

  const pool = () =>
    (
      shop.dataSource.driver as unknown as {
        master: { totalCount: number; idleCount: number; waitingCount: number };
      }
    ).master;
  const count = async (sql: string, values: unknown[] = []) => {
    const [{ n }] = await shop.dataSource.query<[{ n: number }]>(sql, values);
    return n;
  };
  const openTransactions = () =>
    count(
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    );
  const keys = (key: string) =>
    count('SELECT count(*)::int AS n FROM idempotency_keys WHERE key = $1', [key]);
  const orders = () => shop.dataSource.getRepository(Order).count();

  async function send(
    path: string,
    key?: string,
    { method = 'POST', body = {}, headers = {} }: Sending = {},
  ): Promise<Sent> {
    const withBody = method !== 'GET' && method !== 'HEAD';
    const response = await fetch(`${shop.url}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        authorization: 'a',
        ...(withBody ? { 'content-type': 'application/json' } : {}),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
        ...headers,
      },
      body: withBody ? JSON.stringify(body) : undefined,
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    return { status: response.status, headers: response.headers, bytes, text: bytes.toString() };
  }

  /** Sends twice: the responses must be the same, and the second a replay. */
  async function twice(path: string, sending?: Sending): Promise<[Sent, Sent]> {
    const key = randomUUID();
    const first = await send(path, key, sending);
    const { runs } = shop.watch;
    const second = await send(path, key, sending);
    expect(second.status).toBe(first.status);
    expect(second.bytes.equals(first.bytes)).toBe(true);
    for (const name of ['content-type', 'location']) {
      expect([name, second.headers.get(name)]).toEqual([name, first.headers.get(name)]);
    }
    expect(first.headers.get('idempotent-replayed')).toBeNull();
    expect(second.headers.get('idempotent-replayed')).toBe('true');
    expect(shop.watch.runs).toBe(runs);
    return [first, second];
  }

  /** Refused twice with nothing done, and then it runs: the key was free. */
  async function leavesTheKeyFree(path: string, sending?: Sending): Promise<Sent> {
    const key = randomUUID();
    const before = await orders();
    const first = await send(path, key, sending);
    expect(await orders()).toBe(before);
    expect(await keys(key)).toBe(0);
    const second = await send(path, key, sending);
    expect(second.headers.get('idempotent-replayed')).toBeNull();
    expect(second.status).toBe(first.status);
    return first;
  }

  function sendAndLeave(path: string, key: string, body: object = {}) {
    const client = httpRequest(`${shop.url}${path}`, {
      method: 'POST',
      headers: {
        authorization: 'a',
        'content-type': 'application/json',
        'idempotency-key': key,
      },
    });
    client.on('error', () => undefined); // the socket that is hung up on purpose
    client.end(JSON.stringify(body));
    return client;
  }

  describe('serialisation', () => {
    it('R15 a replay leaks no field that a global serialiser left out of the first response', async () => {
      const [first] = await twice('/pipeline/excluded');
      expect(first.text).toMatch(/^\{"id":\d+\}$/);
    });

    it('R15 an outer interceptor that wraps bodies wraps the stored response once, not twice', async () => {
      const [first] = await twice('/pipeline/excluded', { headers: { 'x-outer': 'wrap' } });
      expect(first.text).toMatch(/^\{"data":\{"id":(\d+)\},"id":\1\}$/);
    });

    it('R15 the body that was stored is the one that was sent, whatever the outer interceptor of the replay', async () => {
      const key = randomUUID();
      const first = await send('/pipeline/excluded', key, { headers: { 'x-outer': 'wrap' } });
      const second = await send('/pipeline/excluded', key);
      expect(second.text).toBe(first.text);
    });

    it.each(Object.keys(BODIES))('R15 a body that is %s is replayed as it is', async (kind) => {
      const [first] = await twice(`/pipeline/body/${kind}`);
      expect(first.status).toBe(201);
      if (kind === 'buffer' && adapter === 'fastify') {
        expect(first.bytes.equals(BODIES['buffer'] as Buffer)).toBe(true);
      }
      if (kind === 'number') expect(first.text).toBe('42');
      if (kind === 'big') expect(first.bytes.length).toBeGreaterThan(1024 * 1024);
    });

    it('R15 status and headers that decorators set are replayed where they are stored', async () => {
      const [first, second] = await twice('/pipeline/coded');
      expect(first.status).toBe(202);
      expect(second.headers.get('x-kept')).toBe('kept');
      expect(first.headers.get('x-made')).toBe('here');
      expect(second.headers.get('x-made')).toBe('here'); // the decorator sets it, replay or not
      expect(second.headers.get('location')).toBe('/there');
    });

    it('R15 cookies come with the first response as they were set, and are never replayed', async () => {
      const [first, second] = await twice('/pipeline/coded');
      expect(first.headers.getSetCookie()).toEqual(['one=1; Path=/', 'two=2; Path=/']);
      expect(second.headers.getSetCookie()).toEqual([]);
    });

    it('R15 without a key cookies are untouched as well', async () => {
      const sent = await send('/pipeline/coded');
      expect(sent.headers.getSetCookie()).toEqual(['one=1; Path=/', 'two=2; Path=/']);
    });

    it('R15 a redirect is replayed to the same place', async () => {
      const [first, second] = await twice('/pipeline/redirected');
      expect([first.status, second.status]).toEqual([303, 303]);
      expect(first.headers.get('location')).toMatch(/^\/orders\/\d+$/);
      expect(second.headers.get('location')).toBe(first.headers.get('location'));
    });

    it('R15 a response without content has no content and no length, first and replayed', async () => {
      for (const sent of await twice('/pipeline/no-content')) {
        expect(sent.status).toBe(204);
        expect(sent.bytes).toHaveLength(0);
        expect(sent.headers.get('content-length')).toBeNull();
      }
    });
  });

  describe('pipes, guards, filters and interceptors', () => {
    it('R14 a validation failure is not stored: the key is free for the corrected request', async () => {
      const key = randomUUID();
      const wrong = await send('/pipeline/validated', key, { body: { amount: 'much' } });
      expect(wrong.status).toBe(400);
      expect(await keys(key)).toBe(0);
      const right = await send('/pipeline/validated', key, { body: { amount: 1 } });
      expect(right.status).toBe(201);
    });

    it('R14 what a guard refuses is not stored, and a revoked account replays nothing', async () => {
      const key = randomUUID();
      RevocationGuard.revoked.add('a');
      expect((await send('/pipeline/guarded', key)).status).toBe(401);
      expect(await keys(key)).toBe(0);
      RevocationGuard.revoked.clear();
      expect((await send('/pipeline/guarded', key)).status).toBe(201);
      RevocationGuard.revoked.add('a');
      const revoked = await send('/pipeline/guarded', key);
      expect(revoked.status).toBe(401);
      expect(revoked.text).not.toContain('order');
      expect(revoked.headers.get('idempotent-replayed')).toBeNull();
      const stranger = await fetch(`${shop.url}/pipeline/guarded`, {
        method: 'POST',
        headers: { 'idempotency-key': key },
      });
      expect(stranger.status).toBe(401);
    });

    it('R13 R15 a domain error that a filter maps to 402 is stored as the filter wrote it', async () => {
      const before = await orders();
      const [first] = await twice('/pipeline/domain/stock');
      expect(first.status).toBe(402);
      expect(JSON.parse(first.text)).toEqual({
        problem: 'none left',
        mapped: DomainFilter.mapped,
      });
      expect(await orders()).toBe(before);
    });

    it('R14 a domain error that a filter maps to 500 is sent as it wrote it, and not stored', async () => {
      const first = await leavesTheKeyFree('/pipeline/domain/broken');
      expect(first.status).toBe(500);
      expect(JSON.parse(first.text)).toMatchObject({ problem: 'fell over' });
      expect(first.headers.get('stripe-should-retry')).toBe('true');
    });

    it.each([
      ['/pipeline/refused-inside', 403],
      ['/pipeline/refused-above', 403],
      ['/pipeline/refused-inside', 429],
    ])(
      'R14 what an inner interceptor of %s refuses with %d is not stored',
      async (path, status) => {
        const key = randomUUID();
        RefusingInterceptor.refuseWith = status;
        const refused = await send(path, key);
        expect(refused.status).toBe(status);
        expect(refused.headers.get('idempotency-key')).toBe(key);
        expect(await keys(key)).toBe(0);
        RefusingInterceptor.refuseWith = 0;
        const done = await send(path, key);
        expect([done.status, JSON.parse(done.text)]).toMatchObject([201, { passed: true }]);
        expect((await send(path, key)).text).toBe(done.text);
      },
    );

    it('R14 when an outer interceptor’s time is up the handler’s writes are undone, late ones refused', async () => {
      const key = randomUUID();
      const before = await orders();
      const held = once(shop.watch, 'held slow');
      const sending = { body: { hold: 'slow' }, headers: { 'x-outer': 'timeout' } };
      const running = send('/pipeline/held', key, sending);
      await held;
      OuterInterceptor.clock.emit('time is up');
      expect((await running).status).toBe(408);
      await eventually('the transaction is over', async () => (await openTransactions()) === 0);
      shop.watch.release('slow'); // the handler goes on to write, in a transaction that is gone
      shop.watch.release('slow');
      const again = await send('/pipeline/held', key, { body: { hold: 'slow' } });
      expect(again.status).toBe(201);
      expect(again.headers.get('idempotent-replayed')).toBeNull();
      expect(await orders()).toBe(before + 2);
    });

    it('R9 when an outer interceptor’s time is up before the key is read, no connection is left behind', async () => {
      const runners = Array.from({ length: 4 }, () => shop.dataSource.createQueryRunner());
      await Promise.all(runners.map((runner) => runner.connect() as Promise<unknown>));
      const key = randomUUID();
      const sent = send('/pipeline/held', key, { headers: { 'x-outer': 'timeout' } });
      await eventually('it waits for a connection', () => pool().waitingCount === 1);
      OuterInterceptor.clock.emit('time is up');
      expect((await sent).status).toBe(408);
      await Promise.all(runners.map((runner) => runner.release()));
      await eventually('the pool is whole', () => pool().idleCount === pool().totalCount);
      expect((await send('/pipeline/held', key)).status).toBe(201);
    });

    it('R13 an outer interceptor that turns the error into a success does not save its writes', async () => {
      const before = await orders();
      const [first] = await twice('/pipeline/domain/broken', {
        headers: { 'x-outer': 'fallback' },
      });
      expect([first.status, first.text]).toEqual([201, '{"fallback":true}']);
      expect(await orders()).toBe(before);
    });

    it('R9 an outer interceptor that tries again leaves no transaction of the first try open', async () => {
      const key = randomUUID();
      const { runs } = shop.watch;
      const sent = await send('/pipeline/domain/stock', key, { headers: { 'x-outer': 'retry' } });
      expect(sent.status).toBe(402);
      expect(shop.watch.runs).toBe(runs + 2);
      const replay = await send('/pipeline/domain/stock', key);
      expect(replay.text).toBe(sent.text);
    });

    it('keeps the metadata of decorators above and below it, the name and the parameters', async () => {
      const [first] = await twice('/pipeline/decorated', { headers: { 'x-seen': 'yes' } });
      expect(JSON.parse(first.text)).toEqual({
        above: 1,
        below: 2,
        name: 'decorated',
        seen: 'yes',
      });
    });

    it('works on inherited methods, and on overridden ones that call the inherited', async () => {
      const [first] = await twice('/pipeline/inherited', { body: { amount: 3 } });
      expect(JSON.parse(first.text)).toMatchObject({ account: 'PipelineController', amount: 3 });
      const [second] = await twice('/pipeline/overridden', { body: { amount: 3 } });
      expect(JSON.parse(second.text)).toMatchObject({ by: 'child', amount: 3 });
    });

    it('works in request-scoped controllers, made anew for each request', async () => {
      const { made } = PerRequest;
      const [first] = await twice('/scoped');
      expect(JSON.parse(first.text)).toEqual({ made: made + 1 });
      const [refused] = await twice('/scoped', { body: { fail: true } });
      expect(refused.status).toBe(400);
      expect(await count("SELECT count(*)::int AS n FROM orders WHERE account = 'scoped'")).toBe(1);
      await shop.dataSource.query("DELETE FROM orders WHERE account = 'scoped'");
    });

    it('R7 what the handler does to the body is not part of the request', async () => {
      const [first] = await twice('/pipeline/mutates', { body: { tags: ['a'] } });
      expect(JSON.parse(first.text)).toMatchObject({ body: { tags: ['a', 'added'] } });
    });

    it.each(['PUT', 'PATCH', 'DELETE'])('R6 %s is replayed', async (method) => {
      const [first] = await twice('/pipeline/verb', { method });
      expect(JSON.parse(first.text)).toEqual({ verb: method.toLowerCase() });
    });

    it.each([
      ['GET', '/pipeline/safe'],
      ['HEAD', '/pipeline/safe'],
      ['HEAD', '/pipeline/safe-head'],
      ['OPTIONS', '/pipeline/safe'],
      ['POST', '/pipeline/undecorated'],
    ])('R2 %s %s ignores the header', async (method, path) => {
      const key = randomUUID();
      const { runs } = shop.watch;
      for (const sentKey of [key, key, '"malformed']) {
        const sent = await send(path, sentKey, { method });
        expect(sent.status).toBeLessThan(300);
        expect(sent.headers.get('idempotency-key')).toBeNull();
      }
      expect(shop.watch.runs).toBe(runs + 3);
      expect(await keys(key)).toBe(0);
    });
  });

  describe('responses that cannot be stored', () => {
    it.each([
      '/pipeline/file',
      '/pipeline/stream/node',
      '/pipeline/stream/web',
      '/pipeline/stream/response',
      '/pipeline/stream/generator',
      '/pipeline/empty',
    ])('R16 %s is a clear 500, with nothing committed and the key free', async (path) => {
      const first = await leavesTheKeyFree(path);
      expect(first.status).toBe(500);
      expect(JSON.parse(first.text)).toMatchObject({ code: 'idempotency_response_unstorable' });
      expect(first.headers.get('stripe-should-retry')).toBe('false');
    });

    it('R9 what the handler’s observable writes once it is subscribed to is in the transaction', async () => {
      const before = await orders();
      const [first] = await twice('/pipeline/observable-fails');
      expect(first.status).toBe(400);
      expect(await orders()).toBe(before);
    });

    it('R15 the last value of an observable is the response, as without a key', async () => {
      const [first] = await twice('/pipeline/values');
      expect(first.text).toBe('{"value":3}');
      expect((await send('/pipeline/values')).text).toBe('{"value":3}');
      const [written] = await twice('/pipeline/several');
      expect(JSON.parse(written.text)).toMatchObject({ last: true });
    });
  });

  describe('clients that leave', () => {
    it('R9 mid-handler: the work is committed and the response waits for the retry', async () => {
      const key = randomUUID();
      const before = await orders();
      const held = once(shop.watch, 'held left');
      const client = sendAndLeave('/pipeline/held', key, { hold: 'left' });
      await held;
      client.destroy();
      shop.watch.release('left');
      await eventually('the response is stored', async () => (await keys(key)) === 1);
      const again = await send('/pipeline/held', key, { body: { hold: 'left' } });
      expect(again.status).toBe(201);
      expect(again.headers.get('idempotent-replayed')).toBe('true');
      expect(await orders()).toBe(before + 2);
    });

    it.each(['observable', 'never'])(
      'R9 while the handler’s observable (%s) runs: nothing is written and the key is free at once',
      async (path) => {
        const key = randomUUID();
        const before = await orders();
        const held = once(shop.watch, `held ${path}`);
        const client = sendAndLeave(`/pipeline/${path}`, key);
        await held;
        expect(await openTransactions()).toBe(1);
        client.destroy();
        await eventually('the transaction is over', async () => (await openTransactions()) === 0);
        expect(await keys(key)).toBe(0);
        shop.watch.release(path);
        expect(await orders()).toBe(before);
        if (path === 'never') return;
        shop.watch.release(path);
        expect((await send(`/pipeline/${path}`, key)).status).toBe(201);
      },
    );

    it('R9 between the handler’s observable and a late outer interceptor: no transaction stays open', async () => {
      const key = randomUUID();
      const held = once(shop.watch, 'held observable');
      const client = httpRequest(`${shop.url}/pipeline/observable`, {
        method: 'POST',
        headers: { authorization: 'a', 'idempotency-key': key, 'x-outer': 'late' },
      });
      client.on('error', () => undefined);
      client.end();
      await held;
      shop.watch.release('observable');
      client.destroy();
      await eventually('the transaction is over', async () => (await openTransactions()) === 0);
      OuterInterceptor.clock.emit('late');
    });
  });
});

interface Sending {
  readonly method?: string;
  readonly body?: object;
  readonly headers?: Record<string, string>;
}

describe.each<Adapter>(['fastify', 'express'])('a serialiser outside, on %s', (adapter) => {
  it('R15 leaks nothing in a replay, and finds the same bytes as the first response', async () => {
    const shop = await openShop(adapter, {
      ...OPTIONS,
      configure: undefined,
      providers: [
        PerRequest,
        {
          provide: APP_INTERCEPTOR,
          inject: [Reflector],
          useFactory: (reflector: Reflector) => new ClassSerializerInterceptor(reflector),
        },
      ],
    });
    try {
      const key = randomUUID();
      const first = await shop.post('/pipeline/excluded', {}, key);
      const second = await shop.post('/pipeline/excluded', {}, key);
      expect(first.text).toMatch(/^\{"id":\d+\}$/);
      expect(second.text).toBe(first.text);
      expect(second.headers.get('idempotent-replayed')).toBe('true');
    } finally {
      await shop.close();
    }
  });
});

/** Does what NestJS's compression middleware and plugins do, briefly. */
function compress(app: INestApplication, adapter: Adapter): void {
  if (adapter === 'fastify') {
    const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
    fastify.addHook('onSend', (_request, reply, payload, done) => {
      if (typeof payload !== 'string') return done(null, payload);
      reply.header('content-encoding', 'gzip');
      done(null, gzipSync(payload));
    });
    return;
  }
  app.use((_request: unknown, response: ServerResponse, next: () => void) => {
    const end = response.end.bind(response);
    response.end = ((body: string | Buffer) => {
      const bytes = gzipSync(body);
      response.setHeader('content-encoding', 'gzip').setHeader('content-length', bytes.length);
      return end(bytes);
    }) as typeof response.end;
    next();
  });
}

describe.each<Adapter>(['fastify', 'express'])('compression on %s', (adapter) => {
  it('R15 reaches the client once, in the first response and in the replay', async () => {
    const shop = await openShop(adapter, { configure: (app) => compress(app, adapter) });
    try {
      const key = randomUUID();
      const first = await shop.post('/orders', { amount: 5 }, key);
      const second = await shop.post('/orders', { amount: 5 }, key);
      expect(first.json).toMatchObject({ runs: 1 });
      expect(second.text).toBe(first.text);
      for (const { headers } of [first, second]) {
        expect(headers.get('content-encoding')).toBe('gzip');
      }
    } finally {
      await shop.close();
    }
  });
});

describe('an application does not start', () => {
  class WithoutRoute {
    @Idempotent()
    notARoute() {
      return {};
    }
  }
  class TakesTheResponse {
    @Post()
    @Idempotent()
    create(@Res() response: Reply) {
      response.header('x', 'y');
    }
  }
  class Inherits extends TakesTheResponse {}
  class TakesNext {
    @Post()
    @Idempotent()
    create(@Next() next: () => void) {
      next();
    }
  }
  class Streams {
    @Sse('events')
    @Idempotent()
    events() {
      return of({ data: 1 });
    }
  }
  class PassesThrough {
    @Post()
    @Idempotent()
    create(@Res({ passthrough: true }) response: Reply) {
      response.header('x', 'y');
      return {};
    }
  }

  /** Starts an application as far as its modules; none of this needs a database. */
  async function start(
    controller: new () => object,
    options: Partial<IdempotencyOptions> = {},
    scope: Scope = Scope.DEFAULT,
  ): Promise<void> {
    Controller({ path: 'any', scope })(controller);
    const dataSource = new DataSource({ type: 'postgres' });

    @Global()
    @Module({
      providers: [{ provide: DataSource, useValue: dataSource }],
      exports: [DataSource],
    })
    class DatabaseModule {}
    @Module({
      imports: [DatabaseModule, IdempotencyModule.forRoot({ scope: () => 'a', ...options })],
      controllers: [controller],
    })
    class AnyModule {}

    const app = await NestFactory.create(AnyModule, new FastifyAdapter(), {
      logger: false,
      abortOnError: false,
    });
    try {
      await app.init();
    } finally {
      await app.close().catch(() => undefined); // it closes what did not open
    }
  }

  it.each([
    ['R16', TakesTheResponse, 'TakesTheResponse.create: @Res() needs { passthrough: true }'],
    ['R16', Inherits, 'Inherits.create: @Res() needs { passthrough: true }'],
    ['R16', TakesNext, 'TakesNext.create: @Res() needs'],
    ['R16', Streams, 'Streams.events: an event stream cannot be stored'],
    [
      'R16',
      WithoutRoute,
      'WithoutRoute.notARoute has no effect: the method is not a route handler',
    ],
  ])('%s with %p', async (_rule, controller, words) => {
    await expect(start(controller)).rejects.toThrow(words);
    await expect(start(controller, {}, Scope.REQUEST)).rejects.toThrow(words);
  });

  it('R3 without a scope resolver', async () => {
    await expect(
      start(PassesThrough, { scope: undefined as unknown as IdempotencyOptions['scope'] }),
    ).rejects.toThrow('scope must be a function');
  });

  it('R15 when it is to store a header that is never replayed', async () => {
    await expect(start(PassesThrough, { storedHeaders: ['Set-Cookie'] })).rejects.toThrow(
      'storedHeaders must not name set-cookie',
    );
  });

  it.each(['/errors', 'ftp://a.example/errors', 'https://a.example/#top', 'https://a.example/>;x'])(
    'R24 with %s as the page of its errors',
    async (errorPageUrl) => {
      await expect(start(PassesThrough, { errorPageUrl })).rejects.toThrow(
        'errorPageUrl must be an absolute http or https URL in ASCII without a fragment',
      );
    },
  );

  it('R24 with a page of its errors that formatError would not link to', async () => {
    const formatError = () => ({ status: 400, headers: {}, body: '' });
    const errorPageUrl = 'https://a.example/errors';
    await expect(start(PassesThrough, { errorPageUrl, formatError })).rejects.toThrow(
      'errorPageUrl has no effect beside formatError',
    );
  });

  it('and with all of it right it does', async () => {
    await expect(start(PassesThrough)).resolves.toBeUndefined();
  });
});
