/** The promises of the sandbox acquirer, in this process over PostgreSQL and behind HTTP over a file. */
import fc from 'fast-check';
import { RemoteKeyConflictError, sandboxCard, sandboxCardNames } from '../../src/sandbox-acquirer';
import { approved, charge, inProcess, overHttp, patient, type Site } from './gateways.fixture';

describe.each([
  ['in this process, over PostgreSQL', inProcess],
  ['behind HTTP, over a ledger file', overHttp],
])('%s', (_where, openSite) => {
  let site: Site;

  beforeAll(async () => {
    site = await openSite();
  });

  afterAll(() => site.close());

  describe('remote keys', () => {
    test('R12 the same remote key again has no second effect and the same outcome', async () => {
      const order = charge();
      const first = await site.gateway.charge('key', order, patient());
      expect(await site.gateway.charge('key', order, patient())).toEqual(first);
      expect(await site.ledger.balance(order.tenant.account, 'usd')).toBe(1000);
      expect(await site.ledger.entries(order.tenant.account)).toHaveLength(1);
    });

    test('R12 forty copies at once, from two processes, charge once and all hear the same', async () => {
      const order = charge();
      const outcomes = await Promise.all(
        Array.from({ length: 40 }, (_, i) =>
          (i % 2 ? site.gateway : site.other).charge('key', order, patient()),
        ),
      );
      expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome))).size).toBe(1);
      expect(outcomes[0]).toMatchObject({ outcome: 'approved' });
      expect(await site.ledger.entries(order.tenant.account)).toHaveLength(1);
    });

    test('R12 forty copies of a refund at once pay back once', async () => {
      const order = charge();
      const { tenant } = order;
      const reference = await approved(site.gateway.charge('charge', order, patient()));
      const refund = { tenant, reference, amount: 100 };
      const outcomes = await Promise.all(
        Array.from({ length: 40 }, (_, i) =>
          (i % 2 ? site.gateway : site.other).refund('refund', refund, patient()),
        ),
      );
      expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome))).size).toBe(1);
      expect(await site.ledger.balance(tenant.account, 'usd')).toBe(900);
    });

    test.each([
      ['amount', { amount: 2000 }],
      ['currency', { currency: 'eur' }],
      ['card', { card: 'amex' }],
      ['capture', { capture: false }],
    ])('the same remote key with another %s is an error and changes nothing', async (_, change) => {
      const order = charge();
      await approved(site.gateway.charge('key', order, patient()));
      const another = { ...order, ...change };
      await expect(site.gateway.charge('key', another, patient())).rejects.toThrow(
        RemoteKeyConflictError,
      );
      expect(await site.ledger.balance(order.tenant.account, 'usd')).toBe(1000);
      expect(await site.ledger.entries(order.tenant.account)).toHaveLength(1);
    });

    test('the remote key of a charge used for a refund, or of a refund for another payment, is an error', async () => {
      const order = charge();
      const { tenant } = order;
      const reference = await approved(site.gateway.charge('charge', order, patient()));
      const second = await approved(site.gateway.charge('charge 2', order, patient()));
      const refund = { tenant, reference, amount: 100 };
      await expect(site.gateway.refund('charge', refund, patient())).rejects.toThrow(
        RemoteKeyConflictError,
      );
      await approved(site.gateway.refund('refund', refund, patient()));
      await expect(
        site.gateway.refund('refund', { ...refund, reference: second }, patient()),
      ).rejects.toThrow(RemoteKeyConflictError);
      expect(await site.ledger.balance(tenant.account, 'usd')).toBe(1900);
    });

    test('a remote key of one merchant means nothing to another', async () => {
      const [mine, theirs] = [charge(), charge()];
      const reference = await approved(site.gateway.charge('key', mine, patient()));
      expect(await approved(site.gateway.charge('key', theirs, patient()))).not.toBe(reference);
      const outcome = await site.gateway.refund(
        'r',
        { ...theirs, reference, amount: 1 },
        patient(),
      );
      expect(outcome.outcome).toBe('declined');
    });

    test('names and keys may hold any characters', async () => {
      const order = charge({ tenant: { account: 'a/b ?%ü', livemode: false } });
      const reference = await approved(site.gateway.charge('k/1 ..?#é', order, patient()));
      expect(await site.gateway.lookUp('k/1 ..?#é', order.tenant, patient())).toEqual({
        outcome: 'approved',
        reference,
      });
      expect(await site.ledger.balance('a/b ?%ü', 'usd')).toBe(1000);
    });

    test('names, keys and metadata may be as long as they can be', async () => {
      const pairs = Array.from({ length: 50 }, (_, i) => [
        `${i}`.padEnd(40, 'ü'),
        '漢'.repeat(500),
      ]);
      const metadata = Object.fromEntries(pairs) as Record<string, string>;
      const order = charge({ tenant: { account: '漢'.repeat(255), livemode: false }, metadata });
      await approved(site.gateway.charge('k'.repeat(255), order, patient()));
    });

    test('declines are remembered as approvals are', async () => {
      const order = charge({ card: 'chargeDeclined' });
      const first = await site.gateway.charge('key', order, patient());
      expect(first).toMatchObject({ outcome: 'declined', declineCode: 'generic_decline' });
      expect(await site.gateway.charge('key', order, patient())).toEqual(first);
      expect(await site.ledger.entries(order.tenant.account)).toEqual([]);
    });

    test('lookUp tells what came of a key, and undefined of one never seen', async () => {
      const order = charge();
      const outcome = await site.gateway.charge('key', order, patient());
      expect(await site.gateway.lookUp('key', order.tenant, patient())).toEqual(outcome);
      expect(await site.gateway.lookUp('other', order.tenant, patient())).toBeUndefined();
    });

    test('a call that was given up before it began has no effect', async () => {
      const order = charge();
      await expect(site.gateway.charge('key', order, AbortSignal.abort())).rejects.toThrow(
        /abort/i,
      );
      expect(await site.gateway.lookUp('key', order.tenant, patient())).toBeUndefined();
    });
  });

  describe('the acquirer ledger', () => {
    test('twenty refunds at once never pay back more than was captured', async () => {
      const order = charge({ amount: 1000 });
      const reference = await approved(site.gateway.charge('charge', order, patient()));
      const refund = { tenant: order.tenant, reference, amount: 70 };
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, (_, i) => site.gateway.refund(`refund ${i}`, refund, patient())),
      );
      expect(outcomes.filter(({ outcome }) => outcome === 'approved')).toHaveLength(14);
      expect(await site.ledger.balance(order.tenant.account, 'usd')).toBe(1000 - 14 * 70);
    });

    test('an authorisation is captured once, for at most its amount, and not after a release', async () => {
      const order = charge({ capture: false });
      const { tenant } = order;
      const reference = await approved(site.gateway.charge('charge', order, patient()));
      const capture = (key: string, amount: number) =>
        site.gateway.capture(key, { tenant, reference, amount }, patient());
      expect((await capture('too much', 1001)).outcome).toBe('declined');
      expect(await site.ledger.balance(tenant.account, 'usd')).toBe(0);
      expect((await capture('part', 400)).outcome).toBe('approved');
      expect((await capture('again', 100)).outcome).toBe('declined');
      expect((await site.gateway.cancel('c', { tenant, reference }, patient())).outcome).toBe(
        'declined',
      );
      expect(await site.ledger.balance(tenant.account, 'usd')).toBe(400);
    });

    test('whatever is asked in whatever order, refunded ≤ captured ≤ authorised', async () => {
      const step = fc.record({
        kind: fc.constantFrom('capture' as const, 'refund' as const, 'cancel' as const),
        amount: fc.integer({ min: 1, max: 700 }),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 8 }), fc.boolean(), async (steps, capture) => {
          const order = charge({ amount: 500, capture });
          const { tenant } = order;
          const reference = await approved(site.gateway.charge('charge', order, patient()));
          let captured = capture ? 500 : 0;
          let refunded = 0;
          let open = !capture;
          for (const [index, { kind, amount }] of steps.entries()) {
            const outcome = await site.gateway[kind](
              `${index}`,
              { tenant, reference, amount },
              patient(),
            );
            const expected =
              kind === 'refund'
                ? refunded + amount <= captured
                : open && (kind === 'cancel' || amount <= 500);
            expect(outcome.outcome).toBe(expected ? 'approved' : 'declined');
            if (!expected) continue;
            if (kind === 'refund') refunded += amount;
            else open = false;
            if (kind === 'capture') captured = amount;
          }
          expect(await site.ledger.balance(tenant.account, 'usd')).toBe(captured - refunded);
        }),
        { numRuns: 40 },
      );
    });

    test('the balance is per currency, and the entries come in their order', async () => {
      const order = charge();
      const { tenant } = order;
      const reference = await approved(site.gateway.charge('1', order, patient()));
      await approved(site.gateway.charge('2', { ...order, currency: 'eur', amount: 5 }, patient()));
      await approved(site.gateway.refund('3', { tenant, reference, amount: 300 }, patient()));
      expect(await site.ledger.balance(tenant.account, 'usd')).toBe(700);
      expect(await site.ledger.balance(tenant.account, 'eur')).toBe(5);
      expect(await site.ledger.entries(tenant.account)).toMatchObject([
        { kind: 'charge', payment: reference, amount: 1000, remoteKey: '1' },
        { kind: 'charge', amount: 5, remoteKey: '2' },
        { kind: 'refund', payment: reference, amount: 300, remoteKey: '3' },
      ]);
    });

    test.each(sandboxCardNames)('the card %s does what its table says', async (card) => {
      const outcome = await site.gateway.charge('key', charge({ card }), patient());
      const { decline } = sandboxCard(card) ?? {};
      expect(outcome).toMatchObject(
        decline ? { outcome: 'declined', ...decline } : { outcome: 'approved' },
      );
    });
  });
});
