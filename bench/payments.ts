/**
 * A payment, phased, through the whole product, against pgbench doing the same three commits: the
 * statements are those that the product sent for one payment, with new ids each time.
 */
import { startApp } from '../test/support/app';
import { startServer } from '../test/support/server';
import { type Extent, median, perSecond, ratioOf, type Row } from './figures';
import {
  findPgbench,
  inTransactions,
  pgbench,
  type RoundTrip,
  type Statement,
  statementsOf,
} from './pgbench';
import type { Stage } from './stage';

const GOAL = 0.35;
const PAYMENT = 'amount=2000&currency=usd&payment_method=pm_card_visa&confirm=true';

export async function measurePayments(stage: Stage, extent: Extent): Promise<Row[]> {
  const program = findPgbench();
  if (program === undefined) {
    extent.say('payments: skipped, there is no pgbench on the PATH');
    return [];
  }
  const server = await startServer({
    databaseUrl: stage.databaseUrl,
    env: { JOBS: 'off', IDEMPOTENCY_RECOVERY_INTERVAL_MS: '0' },
  });
  try {
    const statements = await statementsOfOnePayment(stage.databaseUrl);
    const ours = (seconds: number) =>
      stage.send({
        url: `${server.url}/v1/payment_intents`,
        body: PAYMENT,
        headers: {
          authorization: `Bearer ${server.apiKey}`,
          'content-type': 'application/x-www-form-urlencoded',
        },
        key: 'new',
        connections: 32,
        seconds,
      });
    const theirs = (trips: readonly RoundTrip[], seconds: number) =>
      pgbench(program, trips, stage.databaseUrl, seconds);
    const byItself = statements.map((statement) => [statement]);
    const together = inTransactions(statements);
    await ours(extent.quick ? 1 : 10); // the whole product is to be compiled
    await theirs(together, 1);
    const rates: Record<'ours' | 'byItself' | 'together', number[]> = {
      ours: [],
      byItself: [],
      together: [],
    };
    for (let round = 0; round < extent.rounds; round += 1) {
      rates.ours.push((await ours(extent.seconds)).rate);
      rates.byItself.push(await theirs(byItself, extent.seconds));
      rates.together.push(await theirs(together, extent.seconds));
    }
    const row = (how: string, plain: number[]): Row => {
      const against = `pgbench, the same three commits, ${how}`;
      const ratio = ratioOf(rates.ours, plain);
      extent.say(`payment: ${ratio.median.toFixed(2)} of ${against}`);
      return {
        case: `payment, of pgbench ${how}`,
        against,
        ours: perSecond(median(rates.ours)),
        theirs: perSecond(median(plain)),
        ratio,
        goal: `≥ ${GOAL}`,
        reached: ratio.median >= GOAL,
      };
    };
    return [
      row('statement by statement', rates.byItself),
      row('with a packet for each', rates.together),
    ];
  } finally {
    await server.stop();
  }
}

/** What the product sends while it makes one payment. */
async function statementsOfOnePayment(databaseUrl: string): Promise<Statement[]> {
  const app = await startApp({ databaseUrl });
  const pay = (key: string) =>
    fetch(`${app.url}/v1/payment_intents`, {
      method: 'POST',
      headers: { authorization: `Bearer ${app.apiKey}`, 'idempotency-key': key },
      body: new URLSearchParams(PAYMENT),
    }).then(async (res) => {
      if (res.status !== 200) throw new Error(await res.text());
      await res.arrayBuffer();
    });
  try {
    await pay('pgbench-first'); // the API key is looked up once a second at most
    return await statementsOf(() => pay('pgbench-captured'));
  } finally {
    await app.close();
  }
}
