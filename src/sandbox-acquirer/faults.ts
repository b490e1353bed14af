/**
 * What the acquirer does wrong on purpose, so that its callers can be tried: it is slow, it fails before
 * or after the work, it does the work and never answers.
 */
import type { OrderMetadata } from './rules';

export const faultNames = ['error_before', 'error_after', 'lose_reply'] as const;
export type FaultName = (typeof faultNames)[number];

/** How often what goes wrong; shares of the calls, 0 to 1, together at most 1. */
export interface FaultSettings {
  /** Each call takes at least this long, in milliseconds. */
  readonly latencyMs: number;
  /** And at most this long, where that is more. */
  readonly latencyMaxMs: number;
  readonly rates: Readonly<Record<FaultName, number>>;
  /** The same seed and the same order of calls give the same faults. */
  readonly seed: number;
}

/** What becomes of one call. */
export interface CallBehaviour {
  /** Half of it passes before the work, half after. */
  readonly latencyMs: number;
  readonly fault?: FaultName;
}

/** Longest latency that metadata may ask for, in milliseconds. */
const MAX_LATENCY_MS = 60_000;

/** Keys remembered of those whose metadata asked for a fault; the oldest are forgotten. */
const MAX_TRIED = 100_000;

export class Faults {
  private readonly tried = new Set<string>();
  private readonly random: () => number;

  constructor(private readonly settings: FaultSettings) {
    this.random = mulberry32(settings.seed);
  }

  /** What becomes of a call that metadata says nothing of. */
  next(): CallBehaviour {
    const { latencyMs, latencyMaxMs, rates } = this.settings;
    const spread = Math.max(0, latencyMaxMs - latencyMs);
    const latency = latencyMs + Math.round(this.random() * spread);
    let share = this.random();
    const fault = faultNames.find((name) => (share -= rates[name]) < 0);
    return { latencyMs: latency, fault };
  }

  /**
   * What becomes of a call with metadata: `acquirer_fault` and `acquirer_latency_ms` hold for the first
   * try of a key, and every later try of it goes well.
   *
   * @param isAnswered whether the books know the key
   */
  forKey(
    merchant: string,
    key: string,
    metadata: OrderMetadata,
    isAnswered: boolean,
  ): CallBehaviour {
    const fault = faultNames.find((name) => name === metadata['acquirer_fault']);
    const latencyMs = latencyOf(metadata);
    const usual = this.next();
    if (fault === undefined && latencyMs === undefined) return usual;
    const name = JSON.stringify([merchant, key]);
    if (isAnswered || this.tried.has(name)) return { latencyMs: 0 };
    this.tried.add(name);
    if (this.tried.size > MAX_TRIED) this.tried.delete(this.tried.values().next().value ?? '');
    return { latencyMs: latencyMs ?? usual.latencyMs, fault };
  }
}

function latencyOf(metadata: OrderMetadata): number | undefined {
  const asked = metadata['acquirer_latency_ms'];
  if (asked === undefined || !/^\d{1,6}$/.test(asked)) return undefined;
  return Math.min(Number(asked), MAX_LATENCY_MS);
}

/** A small generator that can be seeded (Tommy Ettinger's mulberry32), evenly from 0 to below 1. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
