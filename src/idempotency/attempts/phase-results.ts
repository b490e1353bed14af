/** The results of the phases that are past, as the key's row keeps them (R10). */

/**
 * The entry that lists the phases without a result: JSON has no `undefined`. No phase has this name, and a
 * release that does not know it passes it over.
 */
const WITHOUT_RESULT = '';

export class PhaseResults {
  private readonly results: Map<string, unknown>;

  /** @param row what earlier attempts have recorded; nothing on a key without a row */
  constructor(row: Readonly<Record<string, unknown>> = {}) {
    const { [WITHOUT_RESULT]: names = [], ...recorded } = row;
    this.results = new Map(Object.entries(recorded));
    for (const name of names as readonly string[]) this.results.set(name, undefined);
  }

  has(name: string): boolean {
    return this.results.has(name);
  }

  get(name: string): unknown {
    return this.results.get(name);
  }

  add(name: string, result: unknown): void {
    this.results.set(name, result);
  }

  /** What the row has once this phase is past, too. */
  toRow(name: string, result: unknown): Record<string, unknown> {
    const all = [...this.results, [name, result] as const];
    const without = all.filter(([, value]) => value === undefined).map(([phase]) => phase);
    const row = Object.fromEntries<unknown>(all);
    if (without.length > 0) row[WITHOUT_RESULT] = without;
    return row;
  }
}

/** The result of a phase as its row keeps it, so that every attempt sees the same. */
export function asJson<T>(value: T): T {
  return value === undefined ? value : (JSON.parse(JSON.stringify(value)) as T);
}
