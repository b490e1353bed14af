/**
 * One run of an admitted call: the rest of NestJS's pipeline, inside the attempt, until its response is
 * finished or the run is given up.
 */
import type { CallHandler } from '@nestjs/common';
import { isObservable, Observable, type Subscriber } from 'rxjs';
import type { Attempt } from '../attempts/attempt';
import type { OutgoingResponse } from '../attempts/outgoing-response';
import { type HandlerContext, runInHandlerContext } from '../contract/handler-context';
import { IdempotencyResponseUnstorableError } from '../contract/idempotency.errors';
import type { Phases } from '../contract/phases';
import type { FinalResponse, Finishing } from './finishing';
import type { IdempotentCall } from './idempotent-call';

export class HandlerRun implements HandlerContext {
  /** `over`: the response is being finished. */
  private state: 'running' | 'handler ended' | 'over' | 'given up' = 'running';
  /** Whether the handler's observable has emitted a value. */
  private emitted = false;
  private clientLeft = false;
  entered = false;
  returned?: unknown;
  readonly phases?: Phases;
  private error: unknown;

  constructor(
    private readonly call: IdempotentCall,
    private readonly attempt: Attempt,
    private readonly finishing: Finishing,
  ) {
    this.phases = attempt.phases;
  }

  /** Runs the handler, and what stands between it and this module, once it is subscribed. */
  handle(next: CallHandler): Observable<unknown> {
    return new Observable((subscriber) => {
      // Subscribed in the context too: an observable that the handler returns does its work then.
      runInHandlerContext(this, () =>
        this.attempt.run(() => subscriber.add(next.handle().subscribe(this.watch(subscriber)))),
      );
      return () => this.unsubscribe();
    });
  }

  /** Nobody waits for the handler any more: somebody else responds (R14a), or takes its first value alone. */
  private unsubscribe(): void {
    if (this.state !== 'running') return;
    if (!this.emitted || this.clientLeft) return void this.giveUp();
    this.state = 'handler ended';
  }

  /** Passes on what the handler's part of the pipeline emits, and notes how it ended. */
  private watch(subscriber: Subscriber<unknown>) {
    let failed = false;
    const end = (error?: unknown) => {
      if (this.state === 'running') this.state = 'handler ended';
      this.error = error;
    };
    const fail = (error: unknown) => {
      failed = true;
      end(error ?? new Error('The handler threw nothing.'));
      void this.passOnFailure(subscriber, error);
    };
    return {
      next: (value: unknown) => {
        this.emitted = true;
        if (subscriber.closed || failed) return;
        if (isStream(value)) fail(new IdempotencyResponseUnstorableError('a stream'));
        else subscriber.next(value);
      },
      error: fail,
      complete: () => {
        if (failed) return;
        if (!this.emitted) {
          return fail(new IdempotencyResponseUnstorableError('an empty observable'));
        }
        end();
        subscriber.complete();
      },
    };
  }

  /** Only now may filters and outer interceptors see it: they may use the rows that the handler wrote (R9b). */
  private async passOnFailure(subscriber: Subscriber<unknown>, error: unknown): Promise<void> {
    await this.attempt.handlerFailed(error);
    this.finishing.outside(() => subscriber.error(error));
  }

  /** Commits or rolls back, and decides how the response is sent. A run that is over changes nothing. */
  finish(outgoing: OutgoingResponse): FinalResponse | Promise<FinalResponse> {
    if (this.state === 'over') return { with: {} };
    if (this.state === 'given up') return this.finishing.withoutAttempt(this.call, this.attempt);
    const { entered, error } = this;
    const ended = this.state === 'handler ended';
    this.state = 'over';
    const end = { entered, ended, error, isOutcome: this.finishing.isOutcome(error) };
    return this.finishing.finish(this.call, this.attempt, { outgoing, end });
  }

  /** Ends the attempt without a response, unless one is being finished. */
  async giveUp(): Promise<void> {
    if (this.state === 'over' || this.state === 'given up') return;
    this.state = 'given up';
    await this.finishing.giveUp(this.call, this.attempt);
  }

  /**
   * The client is gone. That ends nothing (R14a), but where the handler returned an observable: NestJS sends
   * nothing then, so that nothing would be finished.
   */
  leave(): void {
    this.clientLeft = true;
    if (this.state !== 'handler ended') return;
    void Promise.resolve(this.returned).then(
      (value) => (isObservable(value) ? this.giveUp() : undefined),
      () => undefined,
    );
  }
}

/** Whether NestJS would send this value piece by piece, so that it cannot be stored (R16). */
function isStream(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { pipe, getStream, getReader } = value as Record<string, unknown>;
  return (
    typeof pipe === 'function' ||
    typeof getStream === 'function' ||
    typeof getReader === 'function' ||
    Symbol.asyncIterator in value ||
    value instanceof Response
  );
}
