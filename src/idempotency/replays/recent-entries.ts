/** A map whose entries have a bounded total size: those used longest ago make room for new ones. */

interface Sized<Value> {
  readonly value: Value;
  readonly size: number;
}

export class RecentEntries<Value> {
  /** A Map iterates in the order of insertion: the first entry is the one used longest ago. */
  private readonly entries = new Map<string, Sized<Value>>();
  private size = 0;

  /**
   * @param maxSize of all entries together
   * @param sizeOf of one entry, in the same unit
   */
  constructor(
    private readonly maxSize: number,
    private readonly sizeOf: (value: Value, name: string) => number,
  ) {}

  /** The entry, which counts as used now. */
  get(name: string): Value | undefined {
    const entry = this.entries.get(name);
    if (!entry) return undefined;
    this.entries.delete(name);
    this.entries.set(name, entry);
    return entry.value;
  }

  /** Adds or replaces an entry. One that is larger than all entries may be together is not kept. */
  set(name: string, value: Value): void {
    this.remove(name);
    const size = this.sizeOf(value, name);
    if (size > this.maxSize) return;
    this.entries.set(name, { value, size });
    this.size += size;
    for (const oldest of this.entries.keys()) {
      if (this.size <= this.maxSize) return;
      this.remove(oldest);
    }
  }

  private remove(name: string): void {
    this.size -= this.entries.get(name)?.size ?? 0;
    this.entries.delete(name);
  }
}
