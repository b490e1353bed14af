/**
 * What a running handler finds around it. The pipeline fills it; `@Idempotent()` and `@Phases()` read
 * it. It is ambient, because NestJS hands neither of them anything of the interceptor's.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

export interface HandlerContext {
  /** Set for a phased endpoint alone: the `Phases` of `phases.ts`. */
  readonly phases?: object;
  /** Whether the handler itself was reached: what pipes refuse is not stored (R14). */
  entered: boolean;
  /** What the handler returned. */
  returned?: unknown;
}

const running = new AsyncLocalStorage<HandlerContext>();

/** Runs `work` so that a handler in it finds this context. */
export const runInHandlerContext = <T>(context: HandlerContext, work: () => T): T =>
  running.run(context, work);

/** The context of the handler that is running; nothing outside of an idempotent endpoint. */
export const currentHandlerContext = (): HandlerContext | undefined => running.getStore();
