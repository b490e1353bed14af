/** What `expand` takes, held against the type declarations of the official SDK. */
import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ExpandParam, InvalidRequestError, WireValidationPipe } from '../../src/wire';
import '../../src/refunds';
import { type RunningApp, startApp } from '../support/app';

const DECLARATIONS = join(dirname(require.resolve('stripe')), '../esm/resources');
const pipe = new WireValidationPipe();

/** The fields of an interface that are an id or an object, which is how the SDK types a reference. */
function referencesIn(file: string, name: string): string[] {
  const text = readFileSync(join(DECLARATIONS, file), 'utf8');
  const [, body = ''] =
    new RegExp(`^export interface ${name} \\{$(.*?)^\\}`, 'ms').exec(text) ?? [];
  return [...body.matchAll(/^ {4}(\w+)\??: string \| [A-Z]/gm)].map(([, field = '']) => field);
}

function accepts(object: string, path: string): boolean {
  class Query {
    @ExpandParam(object)
    expand?: string[];
  }
  try {
    pipe.transform({ expand: [path] }, { type: 'query', metatype: Query });
    return true;
  } catch (error) {
    if (error instanceof InvalidRequestError) return false;
    throw error;
  }
}

test.each([
  ['charge', 'Charges.d.ts', 'Charge', 10],
  ['customer', 'Customers.d.ts', 'Customer', 2],
  ['payment_intent', 'PaymentIntents.d.ts', 'PaymentIntent', 8],
  ['payment_method', 'PaymentMethods.d.ts', 'PaymentMethod', 1],
  ['refund', 'Refunds.d.ts', 'Refund', 8],
])('every reference that the SDK has on a %s can be expanded', (object, file, name, atLeast) => {
  const references = referencesIn(file, name);
  expect(references.length).toBeGreaterThanOrEqual(atLeast);
  expect(references.filter((field) => !accepts(object, field))).toEqual([]);
});

test.each([
  ['payment_intent', 'latest_charge.balance_transaction'],
  ['payment_intent', 'latest_charge.balance_transaction.source'],
  ['refund', 'charge.review.payment_intent'],
  ['payment_intent', 'transfer_data.destination'],
])('on a %s so can %s', (object, path) => {
  expect(accepts(object, path)).toBe(true);
});

test.each([
  ['charge', 'amount'],
  ['charge', 'transfer_data'],
  ['charge', 'metadata'],
  ['charge', 'balance_transaction.amount'],
  ['payment_intent', 'latest_charge.status'],
  ['customer', 'invoice_settings'],
])('on a %s %s cannot', (object, path) => {
  expect(accepts(object, path)).toBe(false);
});

describe('on the running application', () => {
  let app: RunningApp;
  beforeAll(async () => {
    app = await startApp();
  });
  afterAll(() => app.close());

  test('a reference that is always null stays null, in objects and in lists', async () => {
    const stripe = app.stripe();
    const intent = await stripe.paymentIntents.create({
      amount: 1000,
      currency: 'usd',
      payment_method: 'pm_card_visa',
      confirm: true,
      expand: ['latest_charge.balance_transaction', 'application', 'review'],
    });
    expect(intent).toMatchObject({
      application: null,
      review: null,
      latest_charge: { object: 'charge', balance_transaction: null },
    });
    const { data } = await stripe.charges.list({ expand: ['data.balance_transaction'] });
    expect(data[0]).toMatchObject({ balance_transaction: null });
  });
});
