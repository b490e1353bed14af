/** A scenario and its report. */
import type { Chance } from './random';
import { type Finding, type PlantedBug, Testbed, type TestbedOptions } from './testbed';

export interface Run {
  readonly chance: Chance;
  /** Runs for hours, to the numbers of docs/RELIABILITY.md, instead of for minutes. */
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
  /** Other measurements, in words. */
  readonly notes: readonly string[];
}

export interface Scenario {
  readonly name: string;
  /** In one sentence. */
  readonly about: string;
  /** No other scenario may run at the same time, as it breaks what all share. */
  readonly alone?: boolean;
  run(run: Run): Promise<Report>;
}

/** Thrown by a scenario that cannot run here; the message says what is missing. */
export class Skipped extends Error {}

/** The part of a report that the scenario itself knows. */
export interface ScenarioResult {
  readonly faults: number;
  readonly findings?: readonly Finding[];
  readonly notes?: readonly string[];
}

/** Opens a testbed, calls `injectFaults`, then checks everything. */
export async function inTestbed(
  { chance, bug }: Run,
  options: Omit<TestbedOptions, 'chance' | 'bug'>,
  injectFaults: (testbed: Testbed) => Promise<ScenarioResult>,
): Promise<Report> {
  const testbed = await Testbed.open({ ...options, chance, bug });
  try {
    const { faults, findings = [], notes = [] } = await injectFaults(testbed);
    const checked = await testbed.check();
    return {
      faults,
      keys: testbed.clients.count,
      retries: testbed.clients.retries,
      findings: [...findings, ...checked.findings],
      finalMs: checked.recoveredMs,
      notes,
    };
  } finally {
    await testbed.close();
  }
}

/** Adds several reports up to one. */
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
