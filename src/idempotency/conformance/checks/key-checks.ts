/** Checks of the key itself: missing, malformed, quoted, and the same under another account. */
import { type Check, differenceOf, judge, notTried, sketch, wrongEffects } from './check';
import { isSuccess } from '../probe/probe';

/** Of a test card, known to every payment API. */
const CARD_NUMBER = '4242424242424242';

/** Headers that are no key. Each check expects 400. */
const MALFORMED: readonly (Pick<Check, 'name' | 'profiles'> & {
  readonly what: string;
  readonly keyHeader: string | readonly string[];
  /** As a quoted string, for the draft. */
  readonly quoted?: string | readonly string[];
})[] = [
  { name: 'empty-key', what: 'an empty key', keyHeader: '' },
  {
    name: 'long-key',
    what: 'a key of 256 characters',
    keyHeader: 'k'.repeat(256),
    profiles: ['paidonce', 'stripe'], // the draft has no bound
  },
  { name: 'non-ascii-key', what: 'a key with an é', keyHeader: 'clé', quoted: '"clé"' },
  {
    name: 'repeated-key',
    what: 'the header sent twice',
    keyHeader: ['one', 'two'],
    quoted: ['"one"', '"two"'],
  },
];

const malformed = MALFORMED.map(
  ({ name, profiles, what, keyHeader, quoted = keyHeader }): Check => ({
    name,
    rules: profiles ? 'R1' : 'R1, draft 2.1',
    ...(profiles && { profiles }),
    run: async (probe) => {
      const { quotesKeys } = probe.profile;
      if (quotesKeys && !probe.config.keyRequired) {
        // RFC 8941 has the field ignored then.
        return notTried('The draft says nothing of malformed keys where no key is required.');
      }
      const { reply } = await probe.watchRefusal({ keyHeader: quotesKeys ? quoted : keyHeader });
      return judge(`${what} got 400`, [reply.status !== 400 && `${what} got ${sketch(reply)}`]);
    },
  }),
);

export const keyChecks: readonly Check[] = [
  {
    name: 'missing-key',
    rules: 'R2, draft 2.7',
    run: async (probe) => {
      if (!probe.config.keyRequired) {
        return notTried('The config does not say that the route requires a key.');
      }
      const { reply } = await probe.watchRefusal({});
      return judge('a request without a key got 400', [
        reply.status !== 400 && `a request without a key got ${sketch(reply)}`,
      ]);
    },
  },
  ...malformed,
  {
    name: 'card-number-key',
    rules: 'R23',
    profiles: ['paidonce'],
    run: async (probe) => {
      const { reply } = await probe.watchRefusal({ keyHeader: CARD_NUMBER });
      return judge('a key that is a card number got 400, and is not in the response', [
        reply.status !== 400 && `a key that is a card number got ${sketch(reply)}`,
        JSON.stringify([reply.headers, reply.body.toString('utf8')]).includes(CARD_NUMBER) &&
          'the response repeats it',
      ]);
    },
  },
  {
    name: 'quoted-key',
    rules: 'R1, draft 2.1',
    profiles: ['draft', 'paidonce'],
    run: async (probe) => {
      const key = probe.newKey();
      const first = await probe.send({ keyHeader: key });
      if (first.status === 400 && probe.profile.quotesKeys) {
        return notTried('The server takes quoted keys only, as the draft has it.');
      }
      const { reply: copy, effects } = await probe.watch({ keyHeader: `"${key}"` });
      return judge('a bare key and the same in quotes are one key', [
        !isSuccess(first) && `the bare key got ${sketch(first)}`,
        differenceOf(first, copy),
        wrongEffects(0, effects),
      ]);
    },
  },
  {
    name: 'key-echo',
    rules: 'R17',
    profiles: ['paidonce', 'stripe'],
    run: async (probe) => {
      const key = probe.newKey();
      const { headers } = await probe.send({ key });
      const echo = headers['idempotency-key'];
      return judge('the response repeats the Idempotency-Key', [
        echo !== key && `Idempotency-Key of the response is ${echo ?? 'missing'}`,
      ]);
    },
  },
  {
    name: 'other-account',
    rules: 'R3, draft 5',
    run: async (probe) => {
      const { otherAccount: headers } = probe.config;
      if (!headers) return notTried('The config names no `otherAccount`.');
      const key = probe.newKey();
      await probe.send({ key });
      const { reply, effects } = await probe.watch({ key, headers });
      if (isSuccess(reply) && effects === undefined) {
        return notTried('The effect of another account cannot be told from its response.');
      }
      return judge("another account's request with the same key had an effect of its own", [
        !isSuccess(reply) && `another account with the same key got ${sketch(reply)}`,
        wrongEffects(1, effects),
      ]);
    },
  },
];
