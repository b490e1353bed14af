/** The sandbox acquirer against real PostgreSQL: it must keep its promises by itself. */
import fc from 'fast-check';
import {
  type ChargeOrder,
  known,
  OutcomeUnknownError,
  RemoteKeyConflictError,
  SandboxAcquirer,
  sandboxCard,
  sandboxCardNames,
} from '../../src/gateway';
import { freshDatabase, type FreshDatabase } from '../support/database';

/** A caller that never gives up. */
const patient = (): AbortSignal => new AbortController().signal;

let database: FreshDatabase;
let acquirer: SandboxAcquirer;
let accounts = 0;

beforeAll(async () => {
  database = await freshDatabase();
  acquirer = await started();
});

afterAll(async () => {
  await acquirer.onApplicationShutdown();
  await database.drop();
});

async function started(latencyMs = 0): Promise<SandboxAcquirer> {
  const one = new SandboxAcquirer({ DATABASE_URL: database.url, SANDBOX_LATENCY_MS: latencyMs });
  await one.onModuleInit();
  return one;
}

/** An order of a merchant that nobody else uses. */
function order(change: Partial<ChargeOrder> = {}): ChargeOrder {
  const tenant = { account: `acct_${++accounts}`, livemode: false };
  return { tenant, amount: 1000, currency: 'usd', card: 'visa', capture: true, ...change };
}

async function approved(answer: Promise<unknown>): Promise<string> {
  const outcome = (await answer) as { outcome: string; reference: string };
  expect(outcome.outcome).toBe('approved');
  return outcome.reference;
}

describe('remote keys', () => {
  test('R12 the same remote key again has no second effect and the same outcome', async () => {
    const charge = order();
    const first = await acquirer.charge('key', charge, patient());
    expect(await acquirer.charge('key', charge, patient())).toEqual(first);
    expect(await acquirer.balance(charge.tenant.account, 'usd')).toBe(1000);
    expect(await acquirer.ledger(charge.tenant.account)).toHaveLength(1);
  });

  test('R12 forty copies at once, over two processes, charge once and all hear the same', async () => {
    const other = await started();
    try {
      const charge = order();
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, i) =>
          (i % 2 ? acquirer : other).charge('key', charge, patient()),
        ),
      );
      expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
      expect(await acquirer.ledger(charge.tenant.account)).toHaveLength(1);
    } finally {
      await other.onApplicationShutdown();
    }
  });

  test('the same remote key with another amount is an error and changes nothing', async () => {
    const charge = order();
    await acquirer.charge('key', charge, patient());
    const more = { ...charge, amount: 2000 };
    await expect(acquirer.charge('key', more, patient())).rejects.toThrow(RemoteKeyConflictError);
    expect(await acquirer.balance(charge.tenant.account, 'usd')).toBe(1000);
  });

  test('a remote key of one merchant means nothing to another', async () => {
    const [mine, theirs] = [order(), order()];
    const reference = await approved(acquirer.charge('key', mine, patient()));
    expect(await approved(acquirer.charge('key', theirs, patient()))).not.toBe(reference);
    const outcome = await acquirer.refund('r', { ...theirs, reference, amount: 1 }, patient());
    expect(outcome.outcome).toBe('declined');
  });

  test('declines are remembered as approvals are', async () => {
    const charge = order({ card: 'chargeDeclined' });
    const first = await acquirer.charge('key', charge, patient());
    expect(first).toMatchObject({ outcome: 'declined', declineCode: 'generic_decline' });
    expect(await acquirer.charge('key', charge, patient())).toEqual(first);
    expect(await acquirer.ledger(charge.tenant.account)).toEqual([]);
  });

  test('lookUp tells what came of a key, and undefined of one never seen', async () => {
    const charge = order();
    const outcome = await acquirer.charge('key', charge, patient());
    expect(await acquirer.lookUp('key', charge.tenant, patient())).toEqual(outcome);
    expect(await acquirer.lookUp('other', charge.tenant, patient())).toBeUndefined();
  });
});

describe('the books', () => {
  test('twenty refunds at once never pay back more than was captured', async () => {
    const charge = order({ amount: 1000 });
    const reference = await approved(acquirer.charge('charge', charge, patient()));
    const refund = { tenant: charge.tenant, reference, amount: 70 };
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => acquirer.refund(`refund ${i}`, refund, patient())),
    );
    expect(answers.filter(({ outcome }) => outcome === 'approved')).toHaveLength(14);
    expect(await acquirer.balance(charge.tenant.account, 'usd')).toBe(1000 - 14 * 70);
  });

  test('an authorisation is captured once, for at most its amount, and not after a release', async () => {
    const charge = order({ capture: false });
    const { tenant } = charge;
    const reference = await approved(acquirer.charge('charge', charge, patient()));
    const capture = (key: string, amount: number) =>
      acquirer.capture(key, { tenant, reference, amount }, patient());
    expect((await capture('too much', 1001)).outcome).toBe('declined');
    expect(await acquirer.balance(tenant.account, 'usd')).toBe(0);
    expect((await capture('part', 400)).outcome).toBe('approved');
    expect((await capture('again', 100)).outcome).toBe('declined');
    expect((await acquirer.cancel('cancel', { tenant, reference }, patient())).outcome).toBe(
      'declined',
    );
    expect(await acquirer.balance(tenant.account, 'usd')).toBe(400);
  });

  test('whatever is asked in whatever order, refunded ≤ captured ≤ authorised', async () => {
    const step = fc.record({
      kind: fc.constantFrom('capture' as const, 'refund' as const, 'cancel' as const),
      amount: fc.integer({ min: 1, max: 700 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), fc.boolean(), async (steps, capture) => {
        const charge = order({ amount: 500, capture });
        const { tenant } = charge;
        const reference = await approved(acquirer.charge('charge', charge, patient()));
        let captured = capture ? 500 : 0;
        let refunded = 0;
        let open = !capture;
        for (const [index, { kind, amount }] of steps.entries()) {
          const outcome = await acquirer[kind](
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
        expect(await acquirer.balance(tenant.account, 'usd')).toBe(captured - refunded);
      }),
      { numRuns: 40 },
    );
  });

  test.each(sandboxCardNames)('the card %s does what its table says', async (card) => {
    const outcome = await acquirer.charge('key', order({ card }), patient());
    const { decline } = sandboxCard(card) ?? {};
    expect(outcome).toMatchObject(
      decline ? { outcome: 'declined', ...decline } : { outcome: 'approved' },
    );
  });
});

describe('as something outside', () => {
  test('a call given up on its way there has no effect', async () => {
    const slow = await started(2_000);
    const charge = order();
    await expect(slow.charge('key', charge, AbortSignal.timeout(20))).rejects.toThrow(/abort/i);
    expect(await acquirer.lookUp('key', charge.tenant, patient())).toBeUndefined();
    await slow.onApplicationShutdown();
  });

  test('a call given up on its way back has its effect, which the same key finds', async () => {
    const slow = await started(2_000);
    const charge = order();
    const caller = new AbortController();
    const lost = slow.charge('key', charge, caller.signal);
    for (;;) if (await acquirer.lookUp('key', charge.tenant, patient())) break;
    caller.abort();
    await expect(lost).rejects.toThrow(/abort/i);
    await approved(acquirer.charge('key', charge, patient()));
    expect(await acquirer.ledger(charge.tenant.account)).toHaveLength(1);
    await slow.onApplicationShutdown();
  });

  test('two processes may create its schema at the same moment', async () => {
    const empty = await freshDatabase();
    const settings = { DATABASE_URL: empty.url, SANDBOX_LATENCY_MS: 0 };
    const all = Array.from({ length: 4 }, () => new SandboxAcquirer(settings));
    await Promise.all(all.map((one) => one.onModuleInit()));
    await Promise.all(all.map((one) => one.onApplicationShutdown()));
    await empty.drop();
  });

  test('R12 known() turns an unknown outcome into an error', async () => {
    await expect(known(Promise.resolve({ outcome: 'unknown' }))).rejects.toThrow(
      OutcomeUnknownError,
    );
  });
});
