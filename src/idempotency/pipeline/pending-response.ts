/**
 * Which response a request gets, and what happens just before it is sent.
 *
 * What is stored must be what goes over the wire (R15), and only the last moment before it is sent shows
 * that: exception filters run outside of all interceptors, and other interceptors may run outside of this
 * module's. So each HTTP adapter's response is held there, given to `finish`, and sent as `finish` decides.
 */
import type { ServerResponse } from 'node:http';
import type { OutgoingResponse } from '../attempts/outgoing-response';
import type { HandlerContext } from '../contract/handler-context';
import type { StoredResponse } from '../contract/idempotency.options';
import type { Phases } from '../contract/phases';

/** How a response is sent: with more headers, or another one in its place. */
export type FinalResponse =
  { readonly with: Readonly<Record<string, string>> } | { readonly instead: StoredResponse };

/** Commits or rolls back, and decides how the response is sent. */
export type Finish = (outgoing: OutgoingResponse) => Promise<FinalResponse>;

export class PendingResponse implements HandlerContext {
  phases?: Phases;
  #entered = false;
  #handlerEnded = false;
  #finished = false;
  #finish: Finish = sendUnchanged;
  #instead?: StoredResponse;
  #giveUp: () => Promise<void> = () => Promise.resolve();
  #listening = false;

  /** @param res Node's response, under either HTTP adapter */
  constructor(private readonly res: ServerResponse) {}

  /** Whether the handler itself was reached: what pipes refuse is not stored (R14). */
  get entered(): boolean {
    return this.#entered;
  }

  enter(): void {
    this.#entered = true;
  }

  /** Whether a response is being sent already: one that began now would never be finished. */
  get finished(): boolean {
    return this.#finished;
  }

  /** Records that the handler's part of the pipeline is over. */
  endHandler(): void {
    this.#handlerEnded = true;
  }

  /** From now on `finish` decides how the response is sent; `giveUp` ends the attempt without one. */
  onFinish(finish: Finish, giveUp: () => Promise<void>): void {
    this.#finish = finish;
    this.#giveUp = giveUp;
    if (!this.#listening) this.res.once('close', () => this.giveUpIfUnsent());
    this.#listening = true;
  }

  /** Sends this response, whatever the rest of the pipeline makes. */
  replaceWith(replacement: StoredResponse): void {
    this.#instead = replacement;
  }

  /** Ends the attempt without a response: what is sent from now on is sent unchanged. */
  giveUp(): Promise<void> {
    const giveUp = this.#giveUp;
    this.#giveUp = () => Promise.resolve();
    this.#finish = sendUnchanged;
    this.#instead = undefined;
    this.#entered = false;
    this.#handlerEnded = false;
    return giveUp();
  }

  /**
   * Finishes the response, once: an error page sent after a failed send is sent unchanged.
   *
   * @param outgoing makes the response that is about to be sent, where it is needed
   * @returns no promise for a replay or a refusal, which are decided already
   */
  finish(outgoing: () => OutgoingResponse): FinalResponse | Promise<FinalResponse> {
    const finish = this.#finish;
    const instead = this.#instead;
    this.#finish = sendUnchanged;
    this.#instead = undefined;
    this.#finished = true;
    return instead ? { instead } : finish(outgoing());
  }

  /** NestJS may send nothing to a client that disconnected after the handler's observable had ended. */
  private giveUpIfUnsent(): void {
    if (this.#handlerEnded && !this.#finished) void this.giveUp();
  }
}

const sendUnchanged: Finish = () => Promise.resolve({ with: {} });

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
