/**
 * What a character is to the search for card numbers once it is in NFKC (UAX #15), from a table: the
 * search then costs the same for each character, and no text is normalised as a whole.
 */

/** The kinds. `Kind.DIGIT + 7` is a 7. */
export const Kind = {
  /** None of those below. */
  OTHER: 1,
  /** A letter, a number that is no ASCII digit, or an underscore. */
  WORD: 2,
  /** A space (`\p{Zs}`) or a dash (`\p{Pd}`). */
  JOINT: 3,
  PLUS: 4,
  /** A combining mark, which may become one with the letter before it. */
  MARK: 5,
  DIGIT: 6,
  /** From here on several of them: ⑳ is `20`, ½ is `1⁄2`. `sequenceOf` says which. */
  SEQUENCE: 16,
} as const;

const { OTHER, WORD, JOINT, PLUS, MARK, DIGIT, SEQUENCE } = Kind;

/** By code point; 0 where nobody has asked yet. Memory is used only for what was asked. */
export const KINDS = new Uint16Array(0x110000);

/** The kinds that a kind from `Kind.SEQUENCE` on stands for. */
export function sequenceOf(kind: number): Uint8Array {
  return sequences[kind - SEQUENCE] ?? new Uint8Array();
}

/**
 * Fills in the kind of a code point that has none yet.
 *
 * @returns how many characters were looked at: one, or with the sixteenth of a page all of it, where NFKC
 *   leaves it as it is. So neither one character of each page costs much nor all of one.
 */
export function learnKind(codePoint: number): number {
  const page = codePoint >> PAGE_BITS;
  const misses = (missed[page] ?? 0) + 1;
  missed[page] = misses;
  if (misses === MISSES_OF_A_PAGE && learnPage(page)) return PAGE_LENGTH;
  KINDS[codePoint] = kindOf(String.fromCodePoint(codePoint));
  return 1;
}

const PAGE_BITS = 8;
const PAGE_LENGTH = 1 << PAGE_BITS;
const MISSES_OF_A_PAGE = 16;

/** How many characters of each page were learned one by one. */
const missed = new Uint16Array(KINDS.length >> PAGE_BITS);
const sequences: Uint8Array[] = [];
/** Kind of a sequence by the kinds in it, as text. */
const known = new Map<string, number>();

const A_WORD = /[\p{L}\p{N}_]/u;
const MARK_OR_JOINT = /[\p{M}\p{Zs}\p{Pd}]/u;
const ALL_WORD = /^[\p{L}\p{N}_]+$/u;
const ALL_OTHER = /^[^\p{L}\p{N}_\p{M}\p{Zs}\p{Pd}]+$/u;
const ALL_KINDS = /([\p{L}\p{N}_]+)|(\p{M}+)|[\p{Zs}\p{Pd}]+/gu;

/** Whether the page could be learned as a whole; not the first one, where the digits and the plus are. */
function learnPage(page: number): boolean {
  const first = page << PAGE_BITS;
  const text = textOfPage(first);
  // Every part of a text that is in NFKC is in NFKC.
  if (page === 0 || text.normalize('NFKC') !== text) return false;
  KINDS.fill(ALL_WORD.test(text) ? WORD : OTHER, first, first + PAGE_LENGTH);
  if (KINDS[first] === WORD || ALL_OTHER.test(text)) return true;
  const width = text.length / PAGE_LENGTH;
  for (const match of text.matchAll(ALL_KINDS)) {
    const [found, word, mark] = match;
    const start = first + match.index / width;
    const kind = word !== undefined ? WORD : mark !== undefined ? MARK : JOINT;
    KINDS.fill(kind, start, start + found.length / width);
  }
  return true;
}

/** All characters of the page that begins with this one; written as units, which takes a tenth. */
function textOfPage(first: number): string {
  const wide = first > 0xffff;
  const units = new Uint16Array(wide ? 2 * PAGE_LENGTH : PAGE_LENGTH);
  for (let index = 0; index < PAGE_LENGTH; index += 1) {
    const unit = wide ? 0xdc00 | ((first + index) & 0x3ff) : first + index;
    if (wide) units[2 * index] = 0xd7c0 + (first >> 10);
    units[wide ? 2 * index + 1 : index] = unit;
  }
  return Buffer.from(units.buffer).toString('utf16le');
}

function kindOf(character: string): number {
  const normal = character.normalize('NFKC');
  if (normal === character) return simpleKindOf(character);
  const kinds = Array.from(normal, simpleKindOf);
  const [first = OTHER] = kinds;
  const last = kinds.at(-1) ?? OTHER;
  const matters = kinds.some((kind) => kind === PLUS || kind >= DIGIT);
  // Without digits only what stands at either end can touch any.
  const kept = matters || kinds.length < 3 ? kinds : [first, last];
  const isOne = kept.length === 1 || (!matters && first === last && first !== JOINT);
  return isOne ? first : kindOfSequence(kept);
}

function kindOfSequence(kinds: readonly number[]): number {
  const name = kinds.join();
  const kind = known.get(name) ?? SEQUENCE + sequences.length;
  if (kind === SEQUENCE + sequences.length) {
    sequences.push(Uint8Array.from(kinds));
    known.set(name, kind);
  }
  return kind;
}

/** @param character as NFKC leaves it */
function simpleKindOf(character: string): number {
  if (A_WORD.test(character)) {
    return character >= '0' && character <= '9' ? DIGIT + Number(character) : WORD;
  }
  if (MARK_OR_JOINT.test(character)) return /\p{M}/u.test(character) ? MARK : JOINT;
  return character === '+' ? PLUS : OTHER;
}
