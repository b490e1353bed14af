/** Counts the files that a sequence of functions runs through. */
import type { TracedFunction } from './instrument';

/** The path of a request through the source, in files. */
export interface CodePath {
  /** Number of files with a function on the path. */
  readonly visited: number;
  /** How often the next function stands in another file. */
  readonly changes: number;
  /** How many of these changes lead to a file already visited. */
  readonly returns: number;
  /** In the order of their first function. */
  readonly files: readonly FileOnPath[];
}

export interface FileOnPath {
  readonly file: string;
  /** Number of its functions on the path. */
  readonly functions: number;
  /** How many changes lead back to it. */
  readonly returns: number;
}

/** @param steps the functions in the order of their first execution, each once */
export function codePathOf(steps: readonly TracedFunction[]): CodePath {
  const files = new Map<string, { file: string; functions: number; returns: number }>();
  let changes = 0;
  let previous: string | undefined;
  for (const { file } of steps) {
    const known = files.get(file);
    const current = known ?? { file, functions: 0, returns: 0 };
    if (!known) files.set(file, current);
    current.functions += 1;
    if (previous !== undefined && previous !== file) {
      changes += 1;
      if (known) current.returns += 1;
    }
    previous = file;
  }
  const visited = [...files.values()];
  const returns = visited.reduce((sum, file) => sum + file.returns, 0);
  return { visited: files.size, changes, returns, files: visited };
}
