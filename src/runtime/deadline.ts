/** Waits for a promise no longer than a deadline. */

/** The result of a promise, or `undefined` once the deadline (ms) has passed. The work itself goes on. */
export async function resultWithin<T>(
  deadlineMs: number,
  work: Promise<T>,
): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, deadlineMs, undefined);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
