/** Work that mostly waits, a few pieces at a time. */

/** The results of all, so many of them at a time, in the order in which they were given. */
export async function inLanes<T>(count: number, all: readonly (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = [];
  const waiting = all.entries(); // shared: each lane takes the next
  const lane = async () => {
    for (const [at, run] of waiting) results[at] = await run();
  };
  await Promise.all(Array.from({ length: count }, lane));
  return results;
}
