/** Handlers whose statements fail as a test says, and a filter and an interceptor that cover their errors. */
import {
  type ArgumentsHost,
  Body,
  type CallHandler,
  Catch,
  ConflictException,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  Post,
} from '@nestjs/common';
import { BaseExceptionFilter, HttpAdapterHost } from '@nestjs/core';
import { InjectRepository } from '@nestjs/typeorm';
import { catchError, type Observable, of } from 'rxjs';
import { DataSource, type Repository } from 'typeorm';
import { Idempotent, outsideTransaction, Phases } from '../../../src/idempotency';
import { Order, Watch } from '../shop.fixture';

/** An error of the application's own. */
export class DomainError extends Error {
  originalError?: unknown;
  driverError?: unknown;
  errors?: unknown[];
}

/** What a handler makes of the error of a statement. */
export const MADE_OF: Record<string, (error: Error) => Error> = {
  'the error itself': (error) => error,
  'one with it as cause': (cause) => new DomainError('failed', { cause }),
  'one with it as driverError': (driverError) =>
    Object.assign(new DomainError('failed'), { driverError }),
  'one with it as originalError': (originalError) =>
    Object.assign(new DomainError('failed'), { originalError }),
  'one of several': (error) => new AggregateError([new Error('another'), error]),
  'one deep inside': (cause) =>
    new AggregateError([new DomainError('outer', { cause: new DomainError('inner', { cause }) })]),
  'a cycle of causes': (cause) => {
    const inner = new DomainError('inner', { cause });
    return Object.assign(inner, {
      originalError: new AggregateError([new DomainError('outer', { cause: inner }), inner]),
    });
  },
};

/** What the next handlers do; a test sets it, because the retry must be the same request. */
@Injectable()
export class Plan {
  /** Sent by the handler, and expected to fail. */
  sql?: string;
  /** What the handler makes of the error: thrown, unless there is nothing. */
  make: (error: Error) => Error | undefined = (error) => error;
  /** Around the statement: nothing, or a transaction of its own inside the handler's, or one outside of it. */
  around: 'nothing' | 'nested' | 'outside' = 'nothing';
  /** Thrown without a statement. */
  error?: unknown;
  /** The phase that fails. */
  phase = 'finish';

  reset(): void {
    Object.assign(this, { sql: undefined, error: undefined, around: 'nothing', phase: 'finish' });
    this.make = (error) => error;
  }
}

@Controller('planned')
export class PlannedController {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly dataSource: DataSource,
    private readonly plan: Plan,
    private readonly watch: Watch,
  ) {}

  @Post('atomic')
  @Idempotent()
  async atomic() {
    this.watch.runs += 1;
    const { id } = await this.orders.save({ account: 'planned', amount: 1 });
    await this.go();
    return { id };
  }

  @Post('phased')
  @Idempotent({ phased: true })
  async phased(@Phases() phases: Phases, @Body() body: { catchPhase?: boolean }) {
    this.watch.runs += 1;
    const inPhase = (name: string) => (this.plan.phase === name ? this.go() : undefined);
    const first = phases.local('first', async () => {
      const order = await this.orders.save({ account: 'planned', amount: 1 });
      await inPhase('first');
      return order;
    });
    const { id } = body.catchPhase ? await first.catch(() => ({ id: 0 })) : await first;
    if (id === 0) return { id };
    const result = await phases.remote('charge', async (key) => {
      this.watch.remoteCalls.push(key);
      await inPhase('remote');
      return 'approved';
    });
    await phases.local('second', () => inPhase('second') ?? Promise.resolve());
    return phases.finish(async () => {
      await this.orders.update(id, { account: result });
      try {
        await inPhase('finish');
      } catch (error) {
        if (error instanceof ReturnedConflict) return error;
        throw error;
      }
      return { id };
    });
  }

  private async go(): Promise<void> {
    const { sql, make, around, error } = this.plan;
    if (error !== undefined) throw error;
    if (sql === undefined) return;
    const send = () => this.dataSource.query(sql);
    try {
      if (around === 'nested') await this.dataSource.transaction(send);
      else if (around === 'outside') await outsideTransaction(send);
      else await send();
    } catch (failure) {
      const made = make(failure as Error);
      if (made) throw made;
    }
  }
}

/** A refusal that the last phase returns instead of throwing it. */
export class ReturnedConflict extends ConflictException {}

/** Covers every error with the status that the request names; without one, as NestJS does. */
@Catch()
export class CoveringFilter implements ExceptionFilter {
  private readonly asUsual: ExceptionFilter['catch'];

  constructor(private readonly host: HttpAdapterHost) {
    const usual = new BaseExceptionFilter(host.httpAdapter);
    this.asUsual = usual.catch.bind(usual);
  }

  catch(error: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<{ headers: Record<string, string> }>();
    const status = Number(request.headers['x-filter'] ?? 0);
    const response = host.switchToHttp().getResponse<object>();
    if (status > 0) this.host.httpAdapter.reply(response, { covered: 'by a filter' }, status);
    else this.asUsual(error, host);
  }
}

/** Covers every error with a success, outside of the module's interceptor. */
@Injectable()
export class CoveringInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
    const handled = next.handle();
    return headers['x-interceptor'] === undefined
      ? handled
      : handled.pipe(catchError(() => of({ covered: 'by an interceptor' })));
  }
}

/** A statement that fails with this SQLSTATE. */
export const failWith = (state: string): string =>
  `DO $$ BEGIN RAISE EXCEPTION 'as planned' USING ERRCODE = '${state}'; END $$`;

/** Ends the connection it is sent on. */
export const KILL = 'SELECT pg_terminate_backend(pg_backend_pid())';
