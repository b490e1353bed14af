/** A map of bounded size: the entry used longest ago makes room for a new one. */
export class RecentMap<Value> {
  private readonly entries = new Map<string, Value>();

  /** @param capacity how many entries it holds at most */
  constructor(private readonly capacity: number) {}

  get(key: string): Value | undefined {
    const value = this.entries.get(key);
    if (value !== undefined) this.set(key, value);
    return value;
  }

  /** A Map iterates in the order of insertion: the first is the one used longest ago. */
  set(key: string, value: Value): void {
    this.entries.delete(key);
    this.entries.set(key, value);
    if (this.entries.size <= this.capacity) return;
    for (const oldest of this.entries.keys()) {
      this.entries.delete(oldest);
      return;
    }
  }

  delete(key: string): void {
    this.entries.delete(key);
  }
}
