/** Timestamps on the wire. */

/** Unix seconds, rounded down, as every timestamp on the wire. */
export function unixSeconds(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}
