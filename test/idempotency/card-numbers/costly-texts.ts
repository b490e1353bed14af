/** Texts on which a search for card numbers costs the most, each kind for another reason. */

/** A text of about this many bytes in UTF-8. */
type Text = (bytes: number) => string;

const repeated =
  (part: string, before = ''): Text =>
  (bytes) =>
    before + part.repeat(Math.ceil(bytes / Buffer.byteLength(part)));

/**
 * All characters there are, each of them at most once.
 *
 * @param stride how many lie between one and the next, so that few or many of a page come early
 */
const everyCharacter =
  (stride: number): Text =>
  (bytes) => {
    let text = '';
    let length = 0;
    for (let code = 0x80, round = 0; round < stride; code += stride) {
      if (code > 0x10ffff) {
        round += 1;
        code = 0x80 + round;
      }
      if (code >= 0xd800 && code < 0xe000) continue;
      text += String.fromCodePoint(code);
      length += code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
      if (length >= bytes) break;
    }
    return text;
  };

/** By name. No text holds a card number: a search ends where it finds one. */
export const COSTLY_TEXTS: Readonly<Record<string, Text>> = {
  letters: repeated('a'),
  'one number': repeated('1'),
  'groups of one digit': repeated('1-'),
  'groups of three digits': repeated('423-'),
  'groups of four digits': repeated('4241 '),
  'phone numbers': repeated('+1 '),
  'numbers in words': repeated('4242424242424242x '),
  'one run of marks': repeated('\u0301', 'e'),
  'marks out of order': repeated('\u0301\u0323', 'e'),
  'a number behind a run of marks': (bytes) => `${repeated('\u0301', 'e')(bytes)}+4222222222222`,
  'numbers behind letters with a mark': repeated('e\u03014242424242424242 '),
  'numbers behind letters with many marks': repeated(`e${'\u0301'.repeat(8)}+4222222222222 `),
  'ligatures of 18 characters': repeated('\ufdfa'),
  'words in one character': repeated('\u3316'),
  'full-width digits': repeated('４'),
  'two digits in one character': repeated('⑳'),
  'a number in brackets in one character': repeated('⒇'),
  'units in one character': repeated('㎨'),
  jamo: repeated('\u1100\u1161\u11a8'),
  'pairs of surrogates': repeated('😀'),
  'halves of pairs': repeated('\ud83d'),
  'all characters in order': everyCharacter(1),
  'all characters, far apart': everyCharacter(257),
  'all characters, at some distance': everyCharacter(13),
};
