/**
 * Notices a second copy of this package in one process: the decorator of one copy and the module of the other
 * do not know each other, and requests would run unprotected.
 */

/** By this name every copy finds the same set. */
const COPIES = Symbol.for('paidonce:idempotency:copies');

/** The folders of all copies that were loaded. A copy that is loaded again, as in tests, is not a second one. */
const copies = ((globalThis as Record<symbol, unknown>)[COPIES] ??= new Set()) as Set<string>;
copies.add(__dirname);

/** @throws Error that names the folders, where there are several */
export function refuseSecondCopy(): void {
  if (copies.size === 1) return;
  throw new Error(
    `@paidonce/idempotency is loaded more than once, from ${[...copies].join(' and ')}: ` +
      'decorators of one copy have no effect on the module of another. Install it once (npm ls @paidonce/idempotency).',
  );
}
