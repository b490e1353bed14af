/** Records which instrumented functions run, each at its first execution. */
import { HOOK, instrument, type TracedFunction } from './instrument';

export class Recorder {
  readonly #functions: TracedFunction[] = [];
  #seen?: Set<number>;
  #calls = 0;

  /** Number of calls of all instrumented functions, recorded or not. */
  get calls(): number {
    return this.#calls;
  }

  /** Instruments a source for this recorder; see `instrument`. */
  instrument(file: string, text: string): string {
    return instrument(file, text, this.#functions);
  }

  /** Connects the instrumented sources of this process with this recorder. */
  install(): void {
    Object.assign(globalThis, { [HOOK]: (index: number) => this.visit(index) });
  }

  /** Begins a trace; nothing counts as executed yet. */
  start(): void {
    this.#seen = new Set();
  }

  /** @returns the functions that ran since `start`, in the order of their first execution */
  stop(): TracedFunction[] {
    const seen = [...(this.#seen ?? [])];
    this.#seen = undefined;
    return seen.map((index) => this.#functions[index]!);
  }

  private visit(index: number): void {
    this.#calls += 1;
    this.#seen?.add(index);
  }
}
