/** The sandbox acquirer inside this process behaves like another company's; its promises: gateways.test.ts. */
import { type FreshDatabase, freshDatabase } from '../support/database';
import { requireKnownOutcome, OutcomeUnknownError, InProcessGateway } from '../../src/gateway';
import { approved, charge, patient } from './gateways.fixture';

let database: FreshDatabase;
let acquirer: InProcessGateway;

beforeAll(async () => {
  database = await freshDatabase();
  acquirer = await started();
});

afterAll(async () => {
  await acquirer.onApplicationShutdown();
  await database.drop();
});

async function started(latencyMs = 0): Promise<InProcessGateway> {
  const one = new InProcessGateway({ DATABASE_URL: database.url, SANDBOX_LATENCY_MS: latencyMs });
  await one.onModuleInit();
  return one;
}

test('a call given up on its way there has no effect', async () => {
  const slow = await started(600_000);
  const order = charge();
  await expect(slow.charge('key', order, AbortSignal.timeout(20))).rejects.toThrow(/abort/i);
  expect(await acquirer.lookUp('key', order.tenant, patient())).toBeUndefined();
  await slow.onApplicationShutdown();
});

test('a call given up on its way back has its effect, which the same key finds', async () => {
  const slow = await started();
  const order = charge();
  const caller = new AbortController();
  const lost = slow.charge('key', order, caller.signal);
  slow.latencyMs = 600_000; // on its way back
  for (;;) if (await acquirer.lookUp('key', order.tenant, patient())) break;
  caller.abort();
  await expect(lost).rejects.toThrow(/abort/i);
  await approved(acquirer.charge('key', order, patient()));
  expect(await acquirer.ledger.entries(order.tenant.account)).toHaveLength(1);
  await slow.onApplicationShutdown();
});

test('several processes may create its schema at the same moment', async () => {
  const empty = await freshDatabase();
  const settings = { DATABASE_URL: empty.url, SANDBOX_LATENCY_MS: 0 };
  const all = Array.from({ length: 4 }, () => new InProcessGateway(settings));
  await Promise.all(all.map((one) => one.onModuleInit()));
  await Promise.all(all.map((one) => one.onApplicationShutdown()));
  await empty.drop();
});

test('R12 requireKnownOutcome turns an unknown outcome into an error', () => {
  expect(() => requireKnownOutcome({ outcome: 'unknown' })).toThrow(OutcomeUnknownError);
});
