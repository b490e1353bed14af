/** The faults of the sandbox acquirer, for testing its callers: slow, failing before or after the work, silent. */
import type { OrderMetadata } from './rules';

export const faultNames = ['error_before', 'error_after', 'lose_reply'] as const;
export type FaultName = (typeof faultNames)[number];

export interface FaultSettings {
  /** Shortest time of a call, ms. */
  readonly latencyMs: number;
  /** Longest time of a call, ms. Ignored where it is less than `latencyMs`. */
  readonly latencyMaxMs: number;
  /** The share of the calls that each fault hits, 0 to 1; together at most 1. */
  readonly rates: Readonly<Record<FaultName, number>>;
  /** The same seed and the same order of calls give the same faults. */
  readonly seed: number;
}

/** How the acquirer treats one call. */
export interface CallBehaviour {
  /** Half of it passes before the work, half after. */
  readonly latencyMs: number;
  readonly fault?: FaultName;
}

/** Longest latency that metadata may ask for, ms. */
const MAX_LATENCY_MS = 60_000;

/** Remembered keys whose metadata asked for a fault; the oldest are forgotten. */
const MAX_TRIED_KEYS = 100_000;

export class Faults {
  private readonly triedKeys = new Set<string>();
  private readonly random: () => number;

  constructor(private readonly settings: FaultSettings) {
    this.random = mulberry32(settings.seed);
  }

  /** Picks the behaviour for a call, by the rates. */
  next(): CallBehaviour {
    const { latencyMs, latencyMaxMs, rates } = this.settings;
    const spread = Math.max(0, latencyMaxMs - latencyMs);
    const latency = latencyMs + Math.round(this.random() * spread);
    let share = this.random();
    const fault = faultNames.find((name) => (share -= rates[name]) < 0);
    return { latencyMs: latency, fault };
  }

  /**
   * Picks the behaviour for a call with metadata. `acquirer_fault` and `acquirer_latency_ms` hold for the
   * first try of a key; every later try of it goes well.
   *
   * @param isKnown whether the acquirer ledger has the key
   */
  forKey(merchant: string, key: string, metadata: OrderMetadata, isKnown: boolean): CallBehaviour {
    const fault = faultNames.find((name) => name === metadata['acquirer_fault']);
    const latencyMs = latencyIn(metadata);
    const usual = this.next();
    if (fault === undefined && latencyMs === undefined) return usual;
    const name = JSON.stringify([merchant, key]);
    if (isKnown || this.triedKeys.has(name)) return { latencyMs: 0 };
    this.triedKeys.add(name);
    if (this.triedKeys.size > MAX_TRIED_KEYS) {
      this.triedKeys.delete(this.triedKeys.values().next().value ?? '');
    }
    return { latencyMs: latencyMs ?? usual.latencyMs, fault };
  }
}

function latencyIn(metadata: OrderMetadata): number | undefined {
  const text = metadata['acquirer_latency_ms'];
  if (text === undefined || !/^\d{1,6}$/.test(text)) return undefined;
  return Math.min(Number(text), MAX_LATENCY_MS);
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
