/** Bodies that cost a server the most, each kind for a reason of its own; none is accepted. */
import { COSTLY_TEXTS } from '../idempotency/card-numbers/costly-texts';

/** A body of so many bytes. */
export interface CostlyBody {
  readonly type: string;
  readonly make: (bytes: number) => Buffer;
}

const FORM = 'application/x-www-form-urlencoded';
const JSON_TYPE = 'application/json';

/** The part again and again, between two others. */
const filled =
  (part: string, before = '', after = '') =>
  (bytes: number): Buffer => {
    const room = bytes - Buffer.byteLength(before + after);
    return Buffer.from(before + part.repeat(Math.floor(room / Buffer.byteLength(part))) + after);
  };

/** Cut at the last whole character, less what stands around it. */
const textOf = (make: (bytes: number) => string, bytes: number) =>
  new TextDecoder().decode(Buffer.from(make(bytes)).subarray(0, bytes)).replace(/\ufffd+$/, '');

const numbered = (part: (index: number) => string, between: string) => (bytes: number) => {
  const parts: string[] = [];
  for (let length = 0, index = 0; ; index += 1) {
    const next = part(index);
    length += Buffer.byteLength(next) + between.length;
    if (length > bytes - 2) return parts.join(between);
    parts.push(next);
  }
};

/** Characters for each of a thousand parameters, less what stands around them. */
const share = (bytes: number) => Math.max(1, Math.floor(bytes / 1000) - 12);

/** Form bodies, by name. */
const FORMS: Readonly<Record<string, CostlyBody['make']>> = {
  ampersands: filled('&'),
  'names of one letter': filled('a&'),
  '1000 parameters': (bytes) => {
    const value = 'x'.repeat(share(bytes));
    return Buffer.from(Array.from({ length: 1000 }, (_, at) => `${at}=${value}`).join('&'));
  },
  'a list of 900': (bytes) => filled(`a[]=${'x'.repeat(share(bytes) * 1.1)}&`)(bytes),
  'brackets in a name': filled('[]', 'a', '=1'),
  'open brackets': filled('[', 'a'),
  'a long name and a bracket': filled('a', '', ']'),
  'a long unknown name': filled('A'),
  'a long unknown name in capitals that have small ones': filled('İ'),
  'equals signs': filled('='),
  pluses: filled('+', 'a='),
  'pluses between letters': filled('a+', 'a='),
  'spaces between letters in a name': filled('a+', '', '[=1'),
  escapes: filled('%41', 'a='),
  'escapes of four bytes': filled('%F0%9F%98%80', 'a='),
  'a broken escape at the end': filled('%41', 'a=', '%'),
  'a description': filled('x', 'description='),
  metadata: filled('x', 'metadata[a]='),
  'a list in place of a text': (bytes) => filled('description[]=\t&')(Math.min(bytes, 12_000)),
  'paths to expand': filled('.', 'expand[]=customer'),
};

/** JSON bodies, by name. */
const JSONS: Readonly<Record<string, CostlyBody['make']>> = {
  'open lists': filled('['),
  'open hashes': filled('{"a":'),
  'lists with a number each': filled('[1,'),
  numbers: filled('1,', '{"a":[', '1]}'),
  'empty hashes': filled('{},', '{"a":[', '1]}'),
  'empty lists': filled('[],', '{"a":[', '1]}'),
  names: (bytes) =>
    Buffer.from(`{${numbered((index) => `"${index.toString(36)}":1`, ',')(bytes)}}`),
  '1000 names': (bytes) => {
    const value = 'x'.repeat(share(bytes));
    return Buffer.from(JSON.stringify(Object.fromEntries(range(1000, (at) => [`${at}`, value]))));
  },
  '1000 long names': (bytes) => {
    const name = 'x'.repeat(share(bytes));
    return Buffer.from(JSON.stringify(Object.fromEntries(range(1000, (at) => [name + at, 1]))));
  },
  'the same name': filled('"a":1,', '{', '"a":1}'),
  'indexes far apart': (bytes) =>
    Buffer.from(
      `{${numbered((index) => `"${index * 4_000_000}":1`, ',')(Math.min(bytes, 12_000))}}`,
    ),
  escapes: filled('\\u0041', '{"description":"', '"}'),
  'escaped control characters': filled('\\u0001', '{"description":"', '"}'),
  'control characters in metadata': filled('\\u0001', '{"metadata":{"a":"', '"}}'),
  backslashes: filled('\\\\', '{"description":"', '"}'),
  'line feeds': filled('\\n', '{"description":"', '"}'),
  quotes: filled('"'),
  spaces: filled(' ', '{', '}'),
  'a long number': filled('1', '{"amount":', '}'),
  'a long fraction': filled('0', '{"amount":0.', '1}'),
  'numbers that are long': (bytes) =>
    filled(`${'7'.repeat(share(bytes) * 1.1)},`, '{"a":[', '1]}')(bytes),
  'eight levels': filled('x', `${'{"a":'.repeat(7)}{"`, `":1${'}'.repeat(8)}`),
  'a list in place of a text': filled('x', '{"description":["', '"]}'),
  'a text that does not end': filled('x', '{"a":"'),
  'a letter after the end': filled(' ', '{}', 'x'),
  'a long email': filled('a@', '{"email":"', '"}'),
  'a long currency': filled('É', '{"currency":"', '"}'),
  'metadata in 1000 entries': (bytes) => {
    const value = 'x'.repeat(share(bytes));
    const metadata = Object.fromEntries(range(1000, (at) => [`k${at}`, value]));
    return Buffer.from(JSON.stringify({ metadata }));
  },
};

function range<T>(length: number, make: (at: number) => T): T[] {
  return Array.from({ length }, (_, at) => make(at));
}

const FORM_VALUE = 'description=';
const JSON_VALUE = ['{"description":"', '"}'] as const;

/** By name. */
export const COSTLY_BODIES: Readonly<Record<string, CostlyBody>> = Object.fromEntries([
  ...Object.entries(FORMS).map(([name, make]) => [`form: ${name}`, { type: FORM, make }]),
  ...Object.entries(JSONS).map(([name, make]) => [`JSON: ${name}`, { type: JSON_TYPE, make }]),
  ...Object.entries(COSTLY_TEXTS)
    .filter(([name]) => name !== 'halves of pairs')
    .flatMap(([name, text]) => [
      [
        `form: ${name}`,
        {
          type: FORM,
          make: (bytes: number) =>
            Buffer.from(FORM_VALUE + textOf(text, bytes - FORM_VALUE.length).replaceAll('+', '-')),
        },
      ],
      [
        `JSON: ${name}`,
        {
          type: JSON_TYPE,
          make: (bytes: number) =>
            Buffer.from(JSON_VALUE.join(textOf(text, bytes - JSON_VALUE.join('').length))),
        },
      ],
    ]),
]);
