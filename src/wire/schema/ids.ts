import { randomFillSync } from 'node:crypto';

/** Ascending in ASCII, so that ids sort as their times do under collation "C". */
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const TIME_LENGTH = 8;
const SEQUENCE_LENGTH = 3;
const RANDOM_LENGTH = 13;
const SEQUENCES = ALPHABET.length ** SEQUENCE_LENGTH;

let lastTime = 0;
let sequence = 0;

/**
 * A new id such as `cus_0VJ3xkQ2…`: the prefix, an underscore and 24 characters of base62. The
 * first 8 are the milliseconds since 1970, then a counter of 3, then 77 random bits. Within one
 * process ids only ascend, also within one millisecond and when the clock is set back; between
 * processes they ascend as their clocks do, which keeps indexes local. They are names, not
 * secrets: nothing may be granted for knowing one.
 */
export function newId(prefix: string): string {
  const now = Date.now();
  if (now > lastTime) {
    lastTime = now;
    sequence = 0;
  } else if (++sequence === SEQUENCES) {
    lastTime += 1;
    sequence = 0;
  }
  return `${prefix}_${base62(lastTime, TIME_LENGTH)}${base62(sequence, SEQUENCE_LENGTH)}${randomBase62(RANDOM_LENGTH)}`;
}

/**
 * Random base62, without the bias of a plain remainder.
 *
 * @param length in characters, 5.95 bits each
 */
export function randomBase62(length: number): string {
  let text = '';
  while (text.length < length) {
    for (const byte of random(length * 2)) {
      const character = ALPHABET[byte & 63];
      if (character !== undefined && text.length < length) text += character;
    }
  }
  return text;
}

/** Drawn by the kilobyte: each call to the system's source costs as much as an id. */
const pool = Buffer.alloc(8_192);
let used = pool.length;

/** @param count at most the pool's size */
function random(count: number): Buffer {
  if (used + count > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += count;
  return pool.subarray(used - count, used);
}

function base62(value: number, length: number): string {
  let text = '';
  for (let rest = value; text.length < length; rest = Math.floor(rest / ALPHABET.length)) {
    text = ALPHABET.charAt(rest % ALPHABET.length) + text;
  }
  return text;
}
