/** Tables of what a harness measured: for the terminal, and in a page whose other rows stay. */
import { cpus, release, totalmem } from 'node:os';

/** Columns of equal width; the first and the last are words, the others figures. */
export function alignedTable(rows: readonly (readonly string[])[]): string {
  const last = rows[0]!.length - 1;
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, at) =>
          at === 0 || at === last ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** A Markdown table: a head, the line under it (`---` for words, `--:` for figures), rows. */
export const markdownTable = (rows: Iterable<readonly string[]>): string =>
  [...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** The rows of the first Markdown table in a text, without its head, by their first cells. */
export function rowsIn(text: string): Map<string, string[]> {
  const rows = text
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(2) // the head, and the line under it
    .map((line) => line.slice(2, -2).split(' | '));
  return new Map(rows.map((cells) => [cells[0] ?? '', cells]));
}

/** Where figures were measured, in words. */
export function machine(): string {
  const gigabytes = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} cores, ${gigabytes} GB, Linux ${release()}, Node ${process.version}`;
}
