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

/** By code point; 0 before the first use. Only used pages take memory. */
export const KINDS = new Uint16Array(0x110000);

/** The kinds that a kind from `Kind.SEQUENCE` on stands for. */
export function sequenceOf(kind: number): Uint8Array {
  return sequences[kind - SEQUENCE] ?? new Uint8Array();
}

/**
 * Fills in the kind of a code point that has none yet, and with the eighth of a page those of all that
 * NFKC leaves alone: so neither one character of each page costs much nor all of one.
 *
 * @returns how many characters were read
 */
export function learnKind(codePoint: number): number {
  const page = codePoint >> PAGE_BITS;
  const misses = (missed[page] ?? 0) + 1;
  missed[page] = misses;
  if (misses === MISSES_OF_A_PAGE) learnRange(page << PAGE_BITS, PAGE_LENGTH);
  if (KINDS[codePoint] === 0) KINDS[codePoint] = kindOf(String.fromCodePoint(codePoint));
  return misses === MISSES_OF_A_PAGE ? PAGE_LENGTH : 1;
}

const PAGE_BITS = 8;
const PAGE_LENGTH = 1 << PAGE_BITS;
const MISSES_OF_A_PAGE = 8;
/** As few characters as are not taken apart where NFKC changes some: they wait until they are met. */
const SHORT_RANGE = 8;

/** How many characters of each page were learned one by one. */
const missed = new Uint16Array(KINDS.length >> PAGE_BITS);
const sequences: Uint8Array[] = [];
/** Kind of a sequence by the kinds in it, as text. */
const known = new Map<string, number>();

const NOT_OTHER = /[\p{L}\p{N}_\p{M}\p{Zs}\p{Pd}+]/u;
const ALL_WORD = /^[\p{L}\p{N}_]+$/u;
const ALL_OTHER = /^[^\p{L}\p{N}_\p{M}\p{Zs}\p{Pd}]+$/u;
const ALL_KINDS = /([\p{L}\p{N}_]+)|(\p{M}+)|[\p{Zs}\p{Pd}]+/gu;

/**
 * Fills in the kinds of those that NFKC leaves alone among characters that follow each other, none of them
 * ASCII.
 *
 * @param length a power of two, of a page at most
 */
function learnRange(first: number, length: number): void {
  const text = textOfRange(first, length);
  // Every part of a text that is in NFKC is in NFKC.
  if (text.normalize('NFKC') === text) return learnStable(first, length, text);
  if (length <= SHORT_RANGE) return;
  learnRange(first, length / 2);
  learnRange(first + length / 2, length / 2);
}

/** @param text the characters, which NFKC leaves alone */
function learnStable(first: number, length: number, text: string): void {
  const isWord = ALL_WORD.test(text);
  KINDS.fill(isWord ? WORD : OTHER, first, first + length);
  if (isWord || ALL_OTHER.test(text)) return;
  const width = text.length / length;
  for (const match of text.matchAll(ALL_KINDS)) {
    const [found, word, mark] = match;
    const start = first + match.index / width;
    const kind = word !== undefined ? WORD : mark !== undefined ? MARK : JOINT;
    KINDS.fill(kind, start, start + found.length / width);
  }
}

/** The characters as a text: written as units, which takes a fifth of String.fromCodePoint. */
function textOfRange(first: number, length: number): string {
  if (first < 0x10000) {
    for (let index = 0; index < length; index += 1) units[index] = first + index;
    return bytesOfUnits.toString('utf16le', 0, 2 * length);
  }
  // All of a page have the same first half of a surrogate pair.
  const high = 0xd7c0 + (first >> 10);
  const low = 0xdc00 | (first & 0x3ff);
  for (let index = 0; index < length; index += 1) {
    units[2 * index] = high;
    units[2 * index + 1] = low + index;
  }
  return bytesOfUnits.toString('utf16le', 0, 4 * length);
}

const units = new Uint16Array(2 * PAGE_LENGTH);
const bytesOfUnits = Buffer.from(units.buffer);

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
  if (!NOT_OTHER.test(character)) return OTHER;
  if (character === '+') return PLUS;
  if (character >= '0' && character <= '9') return DIGIT + Number(character);
  if (/[\p{Zs}\p{Pd}]/u.test(character)) return JOINT;
  return /\p{M}/u.test(character) ? MARK : WORD;
}

// What nearly all people write is learned when the process starts, in some 10 ms, and what learns is
// compiled then: else the first requests would pay for both.
for (let code = 0; code < PAGE_LENGTH; code += 1) {
  KINDS[code] = kindOf(String.fromCodePoint(code));
}
for (let first = PAGE_LENGTH; first < 0x10000; first += PAGE_LENGTH) learnRange(first, PAGE_LENGTH);
