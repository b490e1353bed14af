/** What NestJS calls enhancers, as an application has them around a decorated handler: a guard, a filter, interceptors. */
import { EventEmitter } from 'node:events';
import {
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  Catch,
  type ExceptionFilter,
  type ExecutionContext,
  HttpException,
  Injectable,
  type NestInterceptor,
  RequestTimeoutException,
  UnauthorizedException,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import {
  catchError,
  delayWhen,
  fromEvent,
  map,
  type Observable,
  of,
  race,
  retry,
  throwError,
} from 'rxjs';

/** Domain errors without HTTP statuses. */
export class OutOfStock extends Error {}
export class Broken extends Error {}

@Catch(OutOfStock, Broken)
export class DomainFilter implements ExceptionFilter {
  static mapped = 0;
  constructor(private readonly host: HttpAdapterHost) {}

  catch(error: Error, host: ArgumentsHost) {
    DomainFilter.mapped += 1;
    const status = error instanceof OutOfStock ? 402 : 500;
    const body = { problem: error.message, mapped: DomainFilter.mapped };
    this.host.httpAdapter.reply(host.switchToHttp().getResponse(), body, status);
  }
}

/** Stands outside the module's interceptor, and does what the request's `x-outer` says. */
@Injectable()
export class OuterInterceptor implements NestInterceptor {
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

/** Stands on one route, and refuses every request while `refuseWith` is a status. */
@Injectable()
export class RefusingInterceptor implements NestInterceptor {
  static refuseWith = 0;
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { refuseWith } = RefusingInterceptor;
    return refuseWith > 0
      ? throwError(() => new HttpException('refused by an interceptor', refuseWith))
      : next.handle().pipe(map((body: object) => ({ ...body, passed: true })));
  }
}

@Injectable()
export class RevocationGuard implements CanActivate {
  static readonly revoked = new Set<string>();
  canActivate(context: ExecutionContext): boolean {
    const { account } = context.switchToHttp().getRequest<{ account: string }>();
    if (RevocationGuard.revoked.has(account)) throw new UnauthorizedException('revoked');
    return true;
  }
}
