/** What a scenario is, and what it tells. */
import type { Chance } from './random';
import { type Finding, type PlantedBug, World, type WorldOptions } from './world';

export interface Run {
  readonly chance: Chance;
  /** Reaches the figures of docs/RELIABILITY.md instead of a few minutes' worth. */
  readonly long: boolean;
  readonly bug?: PlantedBug;
  /** Shows progress. */
  readonly say: (what: string) => void;
}

export interface Report {
  readonly faults: number;
  readonly keys: number;
  readonly retries: number;
  readonly findings: readonly Finding[];
  /** From the end of the faults until everything was final, ms. */
  readonly finalMs: number;
  /** What was measured besides. */
  readonly notes: readonly string[];
}

export interface Scenario {
  readonly name: string;
  /** In one sentence. */
  readonly about: string;
  /** It breaks what all share, so that no other may run beside it. */
  readonly alone?: boolean;
  run(run: Run): Promise<Report>;
}

/** Thrown by a scenario that cannot run here; says what it lacks. */
export class Skipped extends Error {}

/** What a scenario says of itself; the rest of its report is counted. */
export interface Told {
  readonly faults: number;
  readonly findings?: readonly Finding[];
  readonly notes?: readonly string[];
}

/** Opens a world, lets `happen` do its worst in it, then checks everything. */
export async function inWorld(
  { chance, bug }: Run,
  options: Omit<WorldOptions, 'chance' | 'bug'>,
  happen: (world: World) => Promise<Told>,
): Promise<Report> {
  const world = await World.open({ ...options, chance, bug });
  try {
    const { faults, findings = [], notes = [] } = await happen(world);
    const checked = await world.check();
    return {
      faults,
      keys: world.clients.count,
      retries: world.clients.retries,
      findings: [...findings, ...checked.findings],
      finalMs: checked.recoveredMs,
      notes,
    };
  } finally {
    await world.close();
  }
}

/** One report of several. */
export function together(reports: readonly Report[]): Report {
  const sum = (count: (report: Report) => number) =>
    reports.reduce((total, report) => total + count(report), 0);
  return {
    faults: sum(({ faults }) => faults),
    keys: sum(({ keys }) => keys),
    retries: sum(({ retries }) => retries),
    findings: reports.flatMap(({ findings }) => findings),
    finalMs: Math.max(...reports.map(({ finalMs }) => finalMs)),
    notes: [...new Set(reports.flatMap(({ notes }) => notes))],
  };
}
