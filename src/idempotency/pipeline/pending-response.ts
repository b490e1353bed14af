/**
 * Which response a request gets, and what happens just before it is sent.
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

  /** @param res Node's response, under either HTTP adapter */
  constructor(private readonly res: ServerResponse) {}

  /** Whether a response is being sent already: one that began now would never be finished. */
  get finished(): boolean {
    return this.isFinished;
  }

  /** From now on this run decides how the response is sent. */
  hold(run: HandlerRun): void {
    if (!this.run) this.res.once('close', () => this.run?.leave());
    this.run = run;
  }

  /**
   * Sends this response, whatever the rest of the pipeline makes.
   *
   * @returns what an interceptor returns in place of the handler's value
   */
  replaceWith(replacement: StoredResponse): Observable<undefined> {
    this.instead = replacement;
    return of(undefined);
  }

  /** Ends the run without a response: what is sent from now on is sent unchanged. */
  async giveUp(): Promise<void> {
    this.instead = undefined;
    await this.run?.giveUp();
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

/** Whether a header describes the body: it is removed when another body is sent in its place. */
export const describesBody = (name: string): boolean =>
  /^(content-.*|etag|last-modified|location|link|set-cookie)$/.test(name);
