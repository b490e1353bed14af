/**
 * pipeline/: the path of a request: read it → admit it → run the handler → finish the response. This file
 * leads through it. Each step is a file: `idempotent-call.ts`, `admission.ts`, `handler-run.ts`,
 * `finishing.ts`. The numbers are the rules of docs/PROTOCOL.md.
 */
import { type CallHandler, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { EMPTY, type Observable } from 'rxjs';
import type { Attempt } from '../attempts/attempt';
import { IdempotencyEngine } from '../contract/idempotency-entry';
import {
  type HttpRequest,
  RESOLVED_OPTIONS,
  type ResolvedOptions,
  type StoredResponse,
} from '../contract/idempotency.options';
import { idempotentOptionsOf } from '../contract/idempotent.decorator';
import { selectorsOf } from '../request/route-selectors';
import { Admission } from './admission';
import type { Verdict } from './decision';
import { Finishing } from './finishing';
import { HandlerRun } from './handler-run';
import { IdempotentCall } from './idempotent-call';
import { OuterInterceptors } from './outer-interceptors';
import type { PendingResponse } from './pending-response';
import { Refusals } from './refusals';
import { ResponseGate } from './response-gate';
import { replayOf, valueOf } from './responses';

/** Methods that have no effect to repeat (R2). */
const WITHOUT_EFFECT = new Set(['GET', 'HEAD', 'OPTIONS']);

/** What an interceptor returns: at once for a replay from memory, else when the store has replied. */
type Handled = Observable<unknown> | Promise<Observable<unknown>>;

@Injectable()
export class IdempotencyInterceptor extends IdempotencyEngine {
  constructor(
    private readonly gate: ResponseGate,
    private readonly admission: Admission,
    private readonly finishing: Finishing,
    private readonly refusals: Refusals,
    private readonly outer: OuterInterceptors,
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
  ) {
    super();
  }

  intercept(context: ExecutionContext, next: CallHandler): Handled {
    const endpoint = idempotentOptionsOf(context.getHandler());
    const http = context.switchToHttp().getRequest<HttpRequest>();
    if (!endpoint || WITHOUT_EFFECT.has(http.method)) return next.handle();

    const pending = this.gate.open(http, context.switchToHttp().getResponse<object>());
    const replace = (response: StoredResponse) =>
      pending.replaceWith(response, this.outer.has(context) ? valueOf(response) : undefined);
    const requestId = this.options.requestId(http);
    let call: IdempotentCall | undefined;
    const refuse = (error: unknown) =>
      replace(this.refusals.refuse(error, call ?? { http, requestId }));
    try {
      const route = {
        options: endpoint,
        selectors: selectorsOf(context.getClass(), context.getHandler()),
      };
      const read = new IdempotentCall(http, requestId, route, this.options);
      call = read;
      const admit = () => this.admission.admit(read);
      const before = joined(pending.earlier, read.readBody());
      const verdict = before ? before.then(admit) : admit();
      const obey = (decided: Verdict): Handled =>
        'replay' in decided
          ? replace(replayOf(decided.replay, read))
          : this.run(decided.attempt, read, pending, next);
      return verdict instanceof Promise ? verdict.then(obey).catch(refuse) : obey(verdict);
    } catch (error) {
      return refuse(error);
    }
  }

  /** Runs the handler, and what stands between it and this module. */
  private run(
    attempt: Attempt,
    call: IdempotentCall,
    pending: PendingResponse,
    next: CallHandler,
  ): Handled {
    const run = new HandlerRun(call, attempt, this.finishing);
    // An interceptor outside of this one may have responded meanwhile. It will not subscribe any more.
    return pending.attach(run) ? run.handle(next) : run.giveUp().then(() => EMPTY);
  }
}

/** What is to be waited for, if anything is: a replay from memory takes no turn of the event loop. */
function joined(
  earlier: Promise<void> | undefined,
  reading: void | Promise<void>,
): Promise<unknown> | undefined {
  return earlier && reading ? Promise.all([earlier, reading]) : (earlier ?? reading ?? undefined);
}
