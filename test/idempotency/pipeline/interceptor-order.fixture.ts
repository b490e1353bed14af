/** A handler with an interceptor at each place where NestJS takes one. They report in which order they run. */
import {
  Body,
  type CallHandler,
  Controller,
  type ExecutionContext,
  Injectable,
  mixin,
  type NestInterceptor,
  Post,
  type Type,
  UseInterceptors,
} from '@nestjs/common';
import { map, type Observable, tap } from 'rxjs';
import { Idempotent } from '../../../src/idempotency';
import { OrderWriter } from './enhanced-shop.fixture';

/** What the interceptors saw, since a test last emptied it. */
export const seen: { ran: string[]; values: unknown[]; errors: unknown[] } = {
  ran: [],
  values: [],
  errors: [],
};

/** An interceptor that reports its name each time it runs. */
function reporting(name: string): Type<NestInterceptor> {
  @Injectable()
  class Reporting implements NestInterceptor {
    intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
      seen.ran.push(name);
      return next.handle();
    }
  }
  return mixin(Reporting);
}

/** Global, and outside of all others: reports what came, and maps it as if it were an order. */
@Injectable()
export class MappingInterceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    seen.ran.push('global');
    return next.handle().pipe(
      tap((value) => seen.values.push(value)),
      map((value) => {
        const { order } = value as { order?: number };
        return { ...(value as object), next: order === undefined ? null : order + 1 };
      }),
      tap({ error: (error) => seen.errors.push(error) }),
    );
  }
}

/** Leaves a row of its own, as an audit log does. */
@Injectable()
export class WritingInterceptor implements NestInterceptor {
  constructor(private readonly orders: OrderWriter) {}

  async intercept(_context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    await this.orders.write();
    return next.handle();
  }
}

@Controller('interceptors')
@UseInterceptors(reporting('controller'))
export class OrderlyController {
  constructor(private readonly orders: OrderWriter) {}

  @Post('all')
  @UseInterceptors(reporting('above'))
  @Idempotent()
  @UseInterceptors(reporting('below'))
  async all() {
    seen.ran.push('handler');
    return { order: await this.orders.write() };
  }

  @Post('writing')
  @UseInterceptors(WritingInterceptor)
  @Idempotent()
  writing(@Body() body: { broken?: boolean }) {
    if (body.broken) throw new Error('the write of the interceptor is undone');
    return { done: true };
  }
}

@Controller('bare')
export class BareController {
  @Post()
  @Idempotent()
  create() {
    return { big: 'x'.repeat(100) };
  }
}
