/**
 * The first version of the search for card numbers, unchanged: the tests compare the search of today with it.
 * On some texts its cost is quadratic.
 */
export function hasCardNumber(text: string): boolean {
  if (text.length < MIN_DIGITS) return false;
  // Full-width digits make a card number too, and a no-break space is a space.
  const plain = text
    .normalize('NFKC')
    .replaceAll(/\p{Pd}/gu, '-')
    .replaceAll(/\p{Zs}/gu, ' ');
  for (const run of plain.matchAll(DIGIT_RUN)) {
    const groups = run[0].split(/[ -]/);
    if (!isPhoneNumber(groups.join('')) && groups.some((_, from) => startsCard(groups, from))) {
      return true;
    }
  }
  return false;
}

const MIN_DIGITS = 13;
const MAX_DIGITS = 19;
const MIN_GROUP = 3;
const DIGIT_RUN = /(?<![\p{L}\p{N}_])\+?\d+(?:[ -]\d+)*(?![\p{L}\p{N}_])/gu;

/** E.164: up to 15 digits after the `+` or `00`. */
function isPhoneNumber(digits: string): boolean {
  return /^(?:\+|00)\d{1,15}$/.test(digits);
}

/** Whether the group at `from`, alone or with some that follow it, is a card number. */
function startsCard(groups: readonly string[], from: number): boolean {
  let digits = '';
  for (let index = from; index < groups.length && digits.length < MAX_DIGITS; index += 1) {
    const group = (groups[index] ?? '').replace('+', '');
    digits += group;
    const fits = digits.length >= MIN_DIGITS && digits.length <= MAX_DIGITS;
    if (fits && /^[2-6]/.test(digits) && passesLuhn(digits)) return true;
    if (group.length < MIN_GROUP) return false;
  }
  return false;
}

function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let place = 0; place < digits.length; place += 1) {
    const digit = Number(digits[digits.length - 1 - place]);
    const weighted = place % 2 === 0 ? digit : digit * 2;
    sum += weighted > 9 ? weighted - 9 : weighted;
  }
  return sum % 10 === 0;
}
