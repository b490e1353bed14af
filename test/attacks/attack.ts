/** Types of an attack, its checks, its findings and its report. */
import type { Memory } from './probe';
import type { Waits } from './victim';

/** What does not hold, and by which rule. */
export interface Finding {
  readonly rule:
    | 'closing'
    | 'cost'
    | 'handlers'
    | 'log'
    | 'lookups'
    | 'memory'
    | 'order'
    | 'payments'
    | 'refusal'
    | 'rows'
    | 'victim'
    | 'waiting';
  readonly what: string;
}

/** Names under which planted weaknesses go. */
export type Weakness = string;

/** A defence that is taken away, and the check that must notice it. */
export interface Planted {
  readonly weakness: Weakness;
  readonly check: string;
}

export interface Run {
  /** Judges time and resident memory too; else each check runs once, judged by counts alone. */
  readonly long: boolean;
  /** Of a long run: how long the victim pays alone, and how long the attack is repeated, s. */
  readonly seconds: number;
  readonly planted?: Planted;
  /** Shows progress. */
  readonly say: (what: string) => void;
}

/** @typeParam Place where it is carried out: the arena */
export interface Attack<Place> {
  readonly name: string;
  /** In one sentence. */
  readonly about: string;
  /** Settings of the server that is attacked. */
  readonly env?: Readonly<Record<string, string>>;
  /** What it tries, in this order. */
  checks(place: Place): readonly Check[];
}

/** One thing that an attack tries. It returns what did not hold. */
export interface Check {
  readonly name: string;
  readonly run: () => Promise<readonly Finding[]>;
}

/** What was measured while an attack went on, and what became of it. */
export interface Report {
  readonly findings: readonly Finding[];
  /** The victim's payments. */
  readonly without: Waits;
  readonly under: Waits;
  /** Resident memory of the server, bytes: before, at the most, and after a collection of garbage. */
  readonly rss: { readonly before: number; readonly highest: number; readonly after: number };
  /** After the attack minus before, bytes. */
  readonly grown: Memory;
  /** Longest that the server's event loop was held, ms. */
  readonly heldMs: number;
  /** The body that cost the server's process most, where bodies were measured. */
  readonly costliest: { readonly ms: number; readonly what: string } | undefined;
  /** What the attacker sent, and got. */
  readonly requests: number;
  readonly bytes: number;
  readonly connections: number;
  readonly statuses: Readonly<Record<string, number>>;
  /** Connections that the server closed. */
  readonly closed: number;
  readonly refusals: readonly string[];
  /** What it did: requests that reached the application, payments, rows, look-ups of API keys. */
  readonly begun: number;
  readonly payments: number;
  readonly rows: number;
  readonly lookups: number;
}
