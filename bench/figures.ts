/** What every measurement hands to the report. */

export interface Row {
  readonly case: string;
  readonly against: string;
  /** Ours, in words with a unit. */
  readonly ours: string;
  /** Theirs. */
  readonly theirs: string;
  /** Of the rounds, where there are rounds. */
  readonly ratio?: Spread;
  /** What to reach, in words. */
  readonly goal: string;
  readonly reached: boolean;
}

export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return {
    median: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN,
    low: sorted[0] ?? Number.NaN,
    high: sorted.at(-1) ?? Number.NaN,
  };
}

export const median = (values: readonly number[]): number => spreadOf(values).median;

/** Each round's ratio by itself: what disturbs a round disturbs both of its halves. */
export const ratioOf = (ours: readonly number[], theirs: readonly number[]): Spread =>
  spreadOf(ours.map((value, round) => value / (theirs[round] ?? Number.NaN)));

export const perSecond = (rate: number): string => `${Math.round(rate).toLocaleString('en')}/s`;

/** How much is done: the whole, or just enough to see that it runs. */
export interface Extent {
  readonly quick: boolean;
  readonly rounds: number;
  /** Of one half of a round, seconds. */
  readonly seconds: number;
  /** Shows progress. */
  readonly say: (what: string) => void;
}
