/** Timestamps in responses. */

/** Unix seconds, rounded down: the form of every timestamp on the wire. */
export function unixSeconds(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}
