/** Ids of objects and requests. */
import { randomFillSync } from 'node:crypto';

/** In ASCII order, so that ids sort by time under collation "C". */
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const TIME_LENGTH = 8;
const SEQUENCE_LENGTH = 3;
const RANDOM_LENGTH = 13;
const SEQUENCES = ALPHABET.length ** SEQUENCE_LENGTH;

let lastTime = 0;
let sequence = 0;

/**
 * A new id such as `cus_0VJ3xkQ2…`: the prefix, an underscore and 24 characters of base62. The first 8
 * are the milliseconds since 1970, the next 3 a counter, the last 13 are random (77 bits). Within one
 * process ids always ascend, even within a millisecond or after the clock was set back. Between
 * processes they ascend with the clocks, which keeps index pages local. Ids are not secrets: knowing
 * one grants nothing.
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
 * Random base62. Values past the alphabet are dropped, since a remainder would prefer some characters.
 *
 * @param length in characters of 5.95 bits each
 */
export function randomBase62(length: number): string {
  let text = '';
  while (text.length < length) {
    for (const byte of randomBytes(length * 2)) {
      const character = ALPHABET[byte & 63];
      if (character !== undefined && text.length < length) text += character;
    }
  }
  return text;
}

/** Filled 8 KB at a time: one call to the system's random source costs as much as an id. */
const randomPool = Buffer.alloc(8_192);
let usedBytes = randomPool.length;

/** @param count of bytes, at most the pool's size */
function randomBytes(count: number): Buffer {
  if (usedBytes + count > randomPool.length) {
    randomFillSync(randomPool);
    usedBytes = 0;
  }
  usedBytes += count;
  return randomPool.subarray(usedBytes - count, usedBytes);
}

function base62(value: number, length: number): string {
  let text = '';
  for (let rest = value; text.length < length; rest = Math.floor(rest / ALPHABET.length)) {
    text = ALPHABET.charAt(rest % ALPHABET.length) + text;
  }
  return text;
}
