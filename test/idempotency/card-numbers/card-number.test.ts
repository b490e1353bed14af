/** The search for card numbers: what it finds, and how much work it does at most. */
import fc from 'fast-check';
import { newId } from '../../../src/wire';
import { hasCardNumber } from '../../../src/idempotency';
import { CardSearch } from '../../../src/idempotency/card-numbers/card-number';
import { hasCardNumber as asItWas } from './card-number-reference';
import { nastyText, randomFrom } from './card-number-texts';
import { COSTLY_TEXTS } from './costly-texts';

/** How many random texts are compared: `CARD_TEXTS=1000000 npx jest test/idempotency/card-number`. */
const TEXTS = Number(process.env.CARD_TEXTS ?? 5_000);

/** Steps for each UTF-16 unit of a text: most where one stands for several, as ⒇ does for `(20)`. */
const STEPS_A_CHARACTER = 8;
/** A page of 256 is learned as a whole with its eighth character. */
const LEARNED_A_CHARACTER = 33;

describe('R23 the search for card numbers', () => {
  it.each([
    ['a Visa card', '4242424242424242'],
    ['a Visa card of 13 digits', '4222222222222'],
    ['a Visa card of 19 digits', '4000000000000000006'],
    ['a Mastercard', '5555555555554444'],
    ['a Mastercard of the 2 series', '2223003122003222'],
    ['an American Express card', '378282246310005'],
    ['a Discover card', '6011111111111117'],
    ['a Diners Club card', '3056930009020004'],
    ['a Diners Club card of 14 digits', '36227206271667'],
    ['a JCB card', '3566002020360505'],
    ['a UnionPay card', '6200000000000005'],
    ['a card number with spaces', '4242 4242 4242 4242'],
    ['a card number with dashes', '4242-4242-4242-4242'],
    ['a card number with en dashes', '4242–4242–4242–4242'],
    ['a card number with no-break spaces', '4242\u00A04242\u00A04242\u00A04242'],
    ['an American Express card in its groups', '3782 822463 10005'],
    ['a card number in full-width digits', '４２４２４２４２４２４２４２４２'],
    ['a card number in a sentence', 'card: 4242424242424242, exp 4/27'],
    ['a card number after another number', 'order 12 4242 4242 4242 4242'],
    ['a card number before another number', '4242 4242 4242 4242 123'],
    ['a card number with a plus in front', '+4242424242424242'],
    ['a card number in brackets', '(4242424242424242)'],
    ['a card number after an equals sign', 'pan=4242424242424242'],
  ])('finds %s', (_, text) => {
    expect(hasCardNumber(text)).toBe(true);
  });

  it.each([
    ['an amount', '99999999'],
    ['a number that fails the Luhn check', '4242424242424241'],
    ['seconds since 1970', '1795000000'],
    ['milliseconds since 1970', '1795000000004'],
    ['microseconds since 1970', '1795000000000007'],
    ['a phone number', '+4915123456787'],
    ['a phone number with 00', '00491512345678908'],
    ['a phone number in groups', '+49 151 2345 6787'],
    ['two dates', '2026-11-21 2026-11-27'],
    ['a date and a time', '2026-11-21 22:20:00'],
    ['a UUID', '4f3e2d1c-5b6a-4789-8123-456789012345'],
    ['an order number with a letter', 'N4242424242424242'],
    ['digits in an id', 'tok_4242424242424242'],
    ['more than 19 digits', '42424242424242424242'],
    ['a price list', '4242.42, 4242.42, 4242.42, 4242.42'],
    ['an empty text', ''],
  ])('finds none in %s', (_, text) => {
    expect(hasCardNumber(text)).toBe(false);
  });

  it('finds none in an id of this server', () => {
    fc.assert(
      fc.property(fc.constantFrom('cus', 'pi', 'ch', 're', 'pm', 'req'), (prefix) => {
        expect(hasCardNumber(newId(prefix))).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  it('finds one wherever it stands among other words, however it is grouped in fours', () => {
    const words = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '.', ',', 'ü'), maxLength: 30 });
    fc.assert(
      fc.property(words, words, fc.constantFrom('', ' ', '-'), (before, after, separator) => {
        const number = ['4000', '0566', '5566', '5556'].join(separator);
        expect(hasCardNumber(`${before} ${number} ${after}`)).toBe(true);
      }),
    );
  });

  it('finds one where it did before it became linear, and nowhere else', () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    const random = randomFrom(seed);
    let found = 0;
    for (let count = 0; count < TEXTS; count += 1) {
      const text = nastyText(random);
      const expected = asItWas(text);
      if (expected) found += 1;
      if (hasCardNumber(text) !== expected) throw new Error(JSON.stringify({ seed, text }));
    }
    expect(found).toBeGreaterThan(TEXTS / 50);
  });
});

describe('R23 the work of a search for card numbers', () => {
  const stepsFor = (text: string) => {
    const search = new CardSearch(text);
    expect(search.run()).toBe(false);
    return search.steps / text.length;
  };

  it.each(Object.entries(COSTLY_TEXTS))(
    'grows with the length of the text alone: %s',
    (_, text) => {
      for (const bytes of [10_000, 1_000_000]) {
        // The first time characters are seen they are learned.
        expect(stepsFor(text(bytes))).toBeLessThan(STEPS_A_CHARACTER + LEARNED_A_CHARACTER);
        expect(stepsFor(text(bytes))).toBeLessThan(STEPS_A_CHARACTER);
      }
    },
  );

  it('grows with the length of the text alone, whatever it is', () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    const random = randomFrom(seed);
    for (let count = 0; count < 200; count += 1) {
      const text = nastyText(random).repeat(500);
      const search = new CardSearch(text);
      search.run();
      const most = text.length * (STEPS_A_CHARACTER + LEARNED_A_CHARACTER);
      if (search.steps > most) throw new Error(JSON.stringify({ seed, text }));
    }
  });
});
