/** A bound on how long something outside of the process may take. */

/**
 * Waits for `call` up to `deadlineMs`. Then its signal fires, and the wait ends.
 *
 * @throws Error at the deadline; what `call` throws before it
 */
export async function withDeadline<T>(
  deadlineMs: number,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const { signal } = controller;
  const timer = setTimeout(
    () => controller.abort(new Error(`No result in ${deadlineMs} ms.`)),
    deadlineMs,
  );
  try {
    const overdue = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error));
    });
    return await Promise.race([call(signal), overdue]);
  } finally {
    clearTimeout(timer);
  }
}
