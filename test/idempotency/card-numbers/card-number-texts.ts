/** Random texts that are hard on a search for card numbers. */

/** Numbers from 0 to below 1, the same ones for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A text of a few pieces, many of them numbers that are a card's or nearly so. */
export function nastyText(random: () => number): string {
  const pieces = 2 + Math.floor(random() * 6);
  return Array.from({ length: pieces }, () => pick(PIECES, random)(random)).join('');
}

type Random = () => number;
const pick = <T>(list: readonly T[], random: Random): T =>
  list[Math.floor(random() * list.length)] as T;

const all = Array.from({ length: 0x110000 }, (_, code) => String.fromCodePoint(code));
const matching = (pattern: RegExp) => all.filter((character) => pattern.test(character));

/** What NFKC makes of a character. */
const normal = all.map((character) => character.normalize('NFKC'));
const changing = all.filter((character, code) => normal[code] !== character);
const holdsDigit = changing.filter((c) => /\d/.test(c.normalize('NFKC')));
const decimals = matching(/\p{Nd}/u);
const marks = matching(/\p{M}/u);
const marksAfterNfkc = changing.filter((c) => /^\p{M}+$/u.test(c.normalize('NFKC')));
const joints = [...matching(/[\p{Zs}\p{Pd}]/u), ' ', ' ', ' ', ' ', '-', '-', '-', '-'];
const jointsAfterNfkc = changing.filter((c) => /^[\p{Zs}\p{Pd}]+$/u.test(c.normalize('NFKC')));
const pluses = ['+', '+', ...changing.filter((c) => c.normalize('NFKC').includes('+'))];
/** By what they begin with in NFKC, apart into letter and marks: é is e and U+0301. */
const composed = all.flatMap((character) => {
  const parts = character.normalize('NFD');
  return parts !== character && parts.normalize('NFC') === character ? [parts] : [];
});
/** Characters in one-character forms: each digit in every form it has. */
const digitForms = Array.from({ length: 10 }, (_, digit) => [
  ...Array<string>(20).fill(String(digit)),
  ...changing.filter((c) => c.normalize('NFKC') === String(digit)),
]);
/** Two digits in one character, by the digits. */
const pairForms = new Map<string, string[]>();
for (const character of holdsDigit) {
  const form = character.normalize('NFKC');
  if (/^\d\d$/.test(form)) pairForms.set(form, [...(pairForms.get(form) ?? []), character]);
}

const NUMBERS = [
  '4242424242424242',
  '4222222222222',
  '4000000000000000006',
  '5555555555554444',
  '378282246310005',
  '36227206271667',
  '6011111111111117',
  '2223003122003222',
  '004242424242424242',
  '00491512345678908',
  '4242424242424241',
  '4915123456787',
  '42424242424242424242',
  '100020003000400050006',
];

/** The digits, in groups and in forms of all kinds. */
function written(digits: string, random: Random): string {
  const style = random();
  const joint = pick(random() < 0.2 ? jointsAfterNfkc : joints, random);
  const forms = random() < 0.3;
  const size = 1 + Math.floor(random() * 5);
  let text = '';
  for (let at = 0; at < digits.length; at += 1) {
    if (at > 0 && style < 0.3 && at % size === 0) text += joint;
    if (at > 0 && style >= 0.3 && style < 0.6 && random() < 0.25) {
      text += random() < 0.9 ? joint : pick(joints, random);
    }
    const pair = forms && random() < 0.3 ? pairForms.get(digits.slice(at, at + 2)) : undefined;
    if (pair) text += pick(pair, random);
    else text += forms ? pick(digitForms[Number(digits[at])] ?? [], random) : digits[at];
    if (pair) at += 1;
  }
  return text;
}

const someOf =
  (list: readonly string[], most: number) =>
  (random: Random): string =>
    Array.from({ length: 1 + Math.floor(random() * most) }, () => pick(list, random)).join('');

const number = (random: Random) => written(pick(NUMBERS, random), random);
const digits = (random: Random) =>
  written(
    Array.from({ length: 1 + Math.floor(random() * 22) }, () => Math.floor(random() * 10)).join(''),
    random,
  );
/** A short group of digits and a joint, as before a card number. */
const group = (random: Random) =>
  `${Math.floor(random() * 10 ** (1 + Math.floor(random() * 5)))}${pick(joints, random)}`;
const many = (random: Random) => pick(marks, random).repeat(Math.floor(random() ** 3 * 60));
const LETTERS = [
  'a',
  'e',
  '_',
  'é',
  'カ',
  'ᄀ',
  '가',
  '각',
  '\u09c7',
  '\u1100',
  'Σ',
  '٣',
  'Ⅻ',
  '½',
];
const OTHERS = ['.', ',', '/', ':', '(', '<', '=', '#', '\u200b', '\0', '😀', '', '゛', '¨'];
const JAMO = ['\u1100', '\u1161', '\u11a8', '\u1112', '\u1175', '\u11c2', '\uffa1', '\uffc2'];
const HALVES = ['\ud83d', '\ude00', '\ud800', '\udfff', '\udb40'];

const PIECES: readonly ((random: Random) => string)[] = [
  number,
  number,
  number,
  number,
  digits,
  digits,
  group,
  group,
  someOf(pluses, 2),
  someOf(pluses, 1),
  someOf(joints, 2),
  someOf(jointsAfterNfkc, 1),
  someOf(marks, 3),
  someOf(marks, 1),
  someOf(['\u0301', '\u0300', '\u0323', '\u0344', '\u3099', '\u0338'], 4),
  someOf(marksAfterNfkc, 2),
  many,
  someOf(composed, 1),
  (random) => pick(composed, random) + pick(marks, random),
  (random) => pick(composed, random).slice(0, -1) + pick(marks, random),
  (random) => pick(LETTERS, random) + pick(marks, random),
  (random) => pick(changing, random) + pick(marks, random),
  someOf(LETTERS, 2),
  someOf(OTHERS, 2),
  someOf(JAMO, 3),
  someOf(HALVES, 2),
  someOf(holdsDigit, 3),
  someOf(holdsDigit, 1),
  someOf(decimals, 2),
  someOf(changing, 2),
  someOf(all, 2),
  () => 'e\u0301',
  () => 'カ\uff9e',
  () => '\ufdfa',
  () => '\ufe71',
];
