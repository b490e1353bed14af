/** Interceptors that respond before the handler has ended, and handlers that go on all the same. */
import {
  Body,
  type CallHandler,
  Controller,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  Post,
  RequestTimeoutException,
} from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { EventEmitter, once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { firstValueFrom, fromEvent, map, type Observable, of, race, timeout } from 'rxjs';
import { DataSource, type Repository } from 'typeorm';
import { Idempotent, Phases } from '../../../src/idempotency';
import { Order, Watch } from '../shop.fixture';

/** Stands outside the module's interceptor, and responds early as the request's `x-early` says. */
@Injectable()
export class EarlyInterceptor implements NestInterceptor {
  /** Tells it that `time is up`; it tells when the response of a key is `closed`. */
  static readonly clock = new EventEmitter();

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const http = context.switchToHttp();
    const { headers } = http.getRequest<{ headers: Record<string, string> }>();
    const handled = next.handle();
    const { clock } = EarlyInterceptor;
    const response = http.getResponse<{ raw?: ServerResponse }>();
    const res = response.raw ?? (response as ServerResponse);
    res.once('close', () => clock.emit(`closed ${headers['idempotency-key']}`));
    const tooLate = () => {
      throw new RequestTimeoutException();
    };
    switch (headers['x-early']) {
      case 'unsubscribes':
        return race(handled, fromEvent(clock, 'time is up').pipe(map(tooLate)));
      case 'RxJS timeout':
        return handled.pipe(timeout({ first: 300, with: tooLate }));
      case 'Promise.race':
        return of(
          await Promise.race([firstValueFrom(handled), once(clock, 'time is up').then(tooLate)]),
        );
      case 'success':
        return of(
          await Promise.race([
            firstValueFrom(handled),
            once(clock, 'time is up').then(() => ({ accepted: true })),
          ]),
        );
      case 'first value':
        return of(await firstValueFrom(handled));
      case 'past the framework': {
        void once(clock, 'time is up').then(() => {
          res.statusCode = 504;
          res.end('too late');
        });
        return handled;
      }
      default:
        return handled;
    }
  }
}

@Controller('early')
export class EarlyController {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly dataSource: DataSource,
    private readonly watch: Watch,
  ) {}

  @Post('atomic')
  @Idempotent()
  async atomic(@Body() { hold, sleep }: { hold?: string; sleep?: boolean }) {
    this.watch.runs += 1;
    const { id } = await this.orders.save({ account: 'early', amount: 1 });
    if (sleep) await this.sleep(hold);
    else await this.watch.hold(hold);
    await this.note(() => this.orders.save({ account: 'late', amount: 1 }));
    return { id };
  }

  @Post('phased')
  @Idempotent({ phased: true })
  async phased(@Phases() phases: Phases, @Body() body: { hold?: string; in?: string }) {
    this.watch.runs += 1;
    const hold = (name: string) => (body.in === name ? this.watch.hold(body.hold) : undefined);
    const { id } = await this.note(() =>
      phases.local('first', async () => {
        const order = await this.orders.save({ account: 'early', amount: 1 });
        await hold('first');
        return order;
      }),
    );
    await this.note(() =>
      phases.remote('charge', async (key) => {
        this.watch.remoteCalls.push(key);
        await hold('remote');
        return 'approved';
      }),
    );
    return this.note(() =>
      phases.finish(async () => {
        await this.orders.update(id, { account: 'finished' });
        await hold('finish');
        await this.orders.save({ account: 'late', amount: 1 });
        return { id };
      }),
    );
  }

  /** Reports how work ended that came after the response. */
  private async note<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.watch.emit('refused', error);
      throw error;
    }
  }

  private async sleep(name = ''): Promise<void> {
    this.watch.emit(`held ${name}`);
    if (this.watch.runs === 1) await this.dataSource.query('SELECT pg_sleep(20)');
  }
}
