/** The rules for the project's pages: links and paths lead somewhere, decision records are complete. */
import { posix } from 'node:path';

export interface Page {
  /** From the project's directory, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

/** Everything the pages may point at. */
export interface Project {
  readonly pages: readonly Page[];
  /** Whether a file or folder exists, by its path from the project's directory. */
  readonly exists: (path: string) => boolean;
  /** The text of a file of `src`; nothing where there is no such file. */
  readonly source: (path: string) => string | undefined;
}

/** Relative links to a file or a heading that does not exist, as `page: link`. */
export function brokenLinks({ pages, exists }: Project): string[] {
  return pages.flatMap(({ path, text }) =>
    [...prose(text).matchAll(/\]\((?![a-z]+:)([^)\s]+)\)/g)]
      .map(([, link = '']) => link)
      .filter((link) => {
        const [file = '', heading] = link.split('#', 2);
        const target = file === '' ? path : posix.join(posix.dirname(path), file);
        if (!exists(target)) return true;
        const page = pages.find((each) => each.path === target);
        return heading !== undefined && !(page && anchorsOf(page.text).has(heading));
      })
      .map((link) => `${path}: ${link}`),
  );
}

/**
 * Paths in backticks to a file or folder that does not exist, as `page: path`: `src/…`, `test/…` and
 * `bench/…`, and every `folder/file.ts`, which may leave out `src/`.
 */
export function missingPaths({ pages, exists }: Project): string[] {
  return pages.flatMap(({ path, text }) =>
    [...text.matchAll(/`((?:src|test|bench)\/[^`\s*…]*|[\w.-]+\/[\w./-]+\.ts)`/g)]
      .map(([, named = '']) => named)
      .filter((named) => !exists(named) && !exists(`src/${named}`))
      .map((named) => `${path}: ${named}`),
  );
}

/** A line of a call list: marks, a file, and after two spaces the one function that is called there. */
const CALL = /^[ ▸]*([\w.-]+\/[\w./-]+\.ts) {2,}(\w+)(?: {2,}|$)/;

/**
 * Calls that the pages place in a file that has no such name, as `page: file name`: in call lists, whose files
 * may leave out `src/` and `src/idempotency/`, and written as `` `name` in `file.ts` ``.
 */
export function untrueCalls({ pages, source }: Project): string[] {
  return pages.flatMap(({ path, text }) => {
    const listed = [...text.matchAll(/^```\n([^]*?)^```$/gm)]
      .flatMap(([, block = '']) => block.split('\n'))
      .map((line) => CALL.exec(line))
      .filter((match) => match !== null)
      .map(([, file = '', name = '']) => ({ file, name }));
    const mentioned = [...text.matchAll(/`(\w+)` in `([\w./-]+\.ts)`/g)].map(
      ([, name = '', file = '']) => ({ file, name }),
    );
    return [...listed, ...mentioned]
      .filter(({ file, name }) => {
        const found = ['', 'src/', 'src/idempotency/'].map((folder) => source(folder + file));
        const code = found.find((each) => each !== undefined);
        return code === undefined || !new RegExp(`\\b${name}\\b`).test(code);
      })
      .map(({ file, name }) => `${path}: ${file} ${name}`);
  });
}

const RECORD = /^docs\/decisions\/(\d{4})-[a-z0-9-]+\.md$/;
const STATUS = /^- Status: (?:(?:Accepted|Superseded by \d{4}|Amended by \d{4})(?:, |$))+$/m;

/** What decision records lack, as `page: what`. */
export function incompleteRecords({ pages }: Project): string[] {
  const index = pages.find(({ path }) => path === 'docs/decisions/README.md')?.text ?? '';
  return pages.flatMap(({ path, text }) => {
    const number = RECORD.exec(path)?.[1];
    if (number === undefined) return [];
    const title = new RegExp(`^# ${number} (.+)\n`).exec(text)?.[1];
    const status = STATUS.exec(text)?.[0].slice('- Status: '.length);
    const row = index
      .split('\n')
      .find((line) => line.startsWith(`| [${number}](${posix.basename(path)})`));
    const columns = row?.split('|').map((column) => column.trim());
    const sections = [...text.matchAll(/^## (.*)$/gm)].map(([, name]) => name).join(', ');
    const faults: Record<string, boolean> = {
      title: title === undefined,
      date: !/^- Date: \d{4}-\d{2}-\d{2}$/m.test(text),
      status: status === undefined,
      sections: sections !== 'Context, Decision, Consequences',
      'row in the index': columns?.[2] !== title || columns?.[3] !== status || !columns?.[4],
    };
    return Object.entries(faults).flatMap(([what, lacks]) => (lacks ? [`${path}: ${what}`] : []));
  });
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of withoutCode(text).matchAll(/^#{1,6} +(.+)$/gm)) {
    const slug = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-');
    let anchor = slug;
    for (let repeat = 1; anchors.has(anchor); repeat += 1) anchor = `${slug}-${repeat}`;
    anchors.add(anchor);
  }
  return anchors;
}

const withoutCode = (text: string): string => text.replace(/^```[^]*?^```$/gm, '');

/** A page without code, where brackets are no links. */
const prose = (text: string): string => withoutCode(text).replace(/`[^`\n]*`/g, '');
