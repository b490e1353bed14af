/**
 * The pending response of a request: decides once, just before it is sent, what is sent.
 *
 * What is stored must be what goes over the wire (R15), and only the last moment before it is sent shows
 * that: exception filters run outside of all interceptors, and other interceptors may run outside of this
 * module's. So each HTTP adapter's response is held there, given to `finish`, and sent as `finish` decides.
 */
import type { ServerResponse } from 'node:http';
import { type Observable, of } from 'rxjs';
import type { OutgoingResponse } from '../attempts/outgoing-response';
import type { StoredResponse } from '../contract/idempotency.options';
import type { FinalResponse } from './finishing';
import type { HandlerRun } from './handler-run';

export class PendingResponse {
  /** The latest run of the handler. */
  private run?: HandlerRun;
  /** A response that is decided without the handler. */
  private instead?: StoredResponse;
  private isFinished = false;
  /** Settles when the run of an earlier try is given up; nothing at the first try. */
  earlier?: Promise<void>;

  /** @param res Node's response, under either HTTP adapter */
  constructor(private readonly res: ServerResponse) {}

  /**
   * From now on this run decides how the response is sent.
   *
   * @returns whether it can: a response that is being sent already is not finished by a run
   */
  attach(run: HandlerRun): boolean {
    if (this.isFinished) return false;
    if (!this.run) this.res.once('close', () => this.close());
    this.run = run;
    return true;
  }

  private close(): void {
    const { res, run } = this;
    // Somebody has sent another response past this module, such as by Node's own under Fastify (R14a).
    if (res.writableEnded && !this.isFinished) void run?.giveUp();
    else run?.leave();
  }

  /**
   * Sends this response, whatever the rest of the pipeline makes.
   *
   * @param value for the interceptors outside of this module's, in place of the handler's
   * @returns what an interceptor returns
   */
  replaceWith(replacement: StoredResponse, value?: unknown): Observable<unknown> {
    this.instead = replacement;
    return of(value);
  }

  /** An interceptor outside of this module's tries again: the run of its first try ends without a response. */
  tryAgain(): void {
    this.instead = undefined;
    this.earlier = this.run?.giveUp();
  }

  /**
   * Finishes the response, once: an error page sent after a failed send is sent unchanged.
   *
   * @param outgoing makes the response that is about to be sent, where it is needed
   * @returns no promise for a replay or a refusal, which are decided already
   */
  finish(outgoing: () => OutgoingResponse): FinalResponse | Promise<FinalResponse> {
    const instead = this.instead;
    this.instead = undefined;
    this.isFinished = true;
    if (instead) return { instead };
    return this.run ? this.run.finish(outgoing()) : { with: {} };
  }
}

/** The pending response of a request, if its endpoint is idempotent and the interceptor has run. */
export const pendingResponseOf = (request: object): PendingResponse | undefined =>
  (request as WithPendingResponse)[PENDING];

export function attachPendingResponse(request: object, pending: PendingResponse): void {
  (request as WithPendingResponse)[PENDING] = pending;
}

/** A property of the request, not a WeakMap: every garbage collection would have to look through that. */
const PENDING = Symbol('paidonce:pending-response');
interface WithPendingResponse {
  [PENDING]?: PendingResponse;
}

/** Headers that describe the body: they are removed when another body is sent in its place. */
export const DESCRIBES_BODY = /^(content-.*|etag|last-modified|location|link|set-cookie)$/;
