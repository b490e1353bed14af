/** What `npm run trace` prints: the counts, the files, and the functions in order. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TracedFunction } from './instrument';
import { type FileOnPath, codePathOf } from './code-path';

const ROOT = join(__dirname, '..', '..');
/** A file of more lines is marked. */
const MAX_LINES = 250;
/** Length of the list of files with the most returns. */
const SHOWN = 6;

/** A traced request. */
export interface Traced {
  readonly name: string;
  /** The goal. */
  readonly maxReturns: number;
  /** The functions in the order of their first execution. */
  readonly steps: readonly TracedFunction[];
}

/** The counts of all requests, then the files of each, and its functions with `list`. */
export function reportOf(requests: readonly Traced[], list: boolean): string {
  const sections = [countsOf(requests)];
  for (const { name, steps } of requests) {
    const { files } = codePathOf(steps);
    sections.push(`The files of the ${name}, in order\n\n${fileTable(files)}`, mostReturns(files));
    if (list) sections.push(`The functions of the ${name}, in order\n\n${listOf(steps)}`);
  }
  return `${sections.join('\n\n')}\n`;
}

/** The same for programs. */
export function jsonOf(requests: readonly Traced[]): string {
  const results = requests.map(({ name, maxReturns, steps }) => {
    const { files, ...counts } = codePathOf(steps);
    const measured = files.map((file) => ({ ...file, lines: linesOf(file.file) }));
    return { name, functions: steps.length, ...counts, maxReturns, files: measured, steps };
  });
  return `${JSON.stringify(results, null, 2)}\n`;
}

function countsOf(requests: readonly Traced[]): string {
  const rows = requests.map(({ name, maxReturns, steps }) => {
    const { visited, changes, returns, files } = codePathOf(steps);
    const long = files.filter(({ file }) => linesOf(file) > MAX_LINES).length;
    return [name, steps.length, visited, long, changes, returns, `≤ ${maxReturns}`];
  });
  const tooLong = `over ${MAX_LINES} lines`;
  return table([
    ['', 'functions', 'files', tooLong, 'changes of file', 'returns', 'goal'],
    ...rows,
  ]);
}

function fileTable(files: readonly FileOnPath[]): string {
  const rows = files.map(({ file, functions, returns }) => {
    const lines = linesOf(file);
    return [file, functions, returns, lines, lines > MAX_LINES ? 'long' : ''];
  });
  return table([['', 'functions', 'returns', 'lines', ''], ...rows]);
}

function mostReturns(files: readonly FileOnPath[]): string {
  const most = files
    .filter(({ returns }) => returns > 0)
    .toSorted((a, b) => b.returns - a.returns)
    .slice(0, SHOWN)
    .map(({ file, returns }) => `${file} (${returns})`);
  return `Most returns: ${most.join(', ') || 'none'}`;
}

/** One line for each function. `+` marks the first function of a file, `<` a return to a file. */
function listOf(steps: readonly TracedFunction[]): string {
  const met = new Set<string>();
  let previous: string | undefined;
  return steps
    .map(({ file, line, name }) => {
      const mark = file === previous ? ' ' : met.has(file) ? '<' : '+';
      met.add(file);
      previous = file;
      return `${mark} ${file}:${line} ${name}`;
    })
    .join('\n');
}

function linesOf(file: string): number {
  return readFileSync(join(ROOT, file), 'utf8').split('\n').length - 1;
}

/** Aligned columns: the first to the left, the others to the right. */
function table(rows: readonly (readonly (string | number)[])[]): string {
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.map((row) => String(row[column]).length)),
  );
  const line = (row: readonly (string | number)[]) =>
    row
      .map((cell, column) => {
        const width = widths[column]!;
        return column === 0 ? String(cell).padEnd(width) : String(cell).padStart(width);
      })
      .join('  ')
      .trimEnd();
  return rows.map(line).join('\n');
}
