/** The fields of a customer's list in responses, and what is left of them once it is deleted. */
import { DataSource } from 'typeorm';
import { customerFields } from '../../src/customers/customer-fields';
import { startApp, type RunningApp } from '../support/app';

let app: RunningApp;

beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.close());

it('are shown in the order of all fields, and a deleted customer keeps none of them in its row', async () => {
  const stripe = app.stripe();
  const address = { line1: 'Main street 1' };
  const {
    id,
    lastResponse: _,
    ...created
  } = await stripe.customers.create({
    address,
    description: 'A buyer',
    email: 'ada@example.com',
    metadata: { order: '6735' },
    name: 'Ada Lovelace',
    phone: '555',
    preferred_locales: ['en'],
    shipping: { address, name: 'Ada Lovelace' },
    tax_exempt: 'exempt',
  });
  const empty = customerFields.toWire(customerFields.newRow({}));
  const shown = created as Record<string, unknown>;
  const others = Object.keys(shown).filter((name) => name !== 'object');
  expect(others).toEqual(others.toSorted());
  // A field that this request does not set would prove nothing.
  for (const [name, value] of Object.entries(empty)) expect(shown[name]).not.toEqual(value);

  await stripe.customers.del(id);
  const rows = await app.app
    .get(DataSource)
    .query<Record<string, unknown>[]>('SELECT * FROM customers WHERE id = $1', [id]);
  expect(rows).toMatchObject([empty]);
});
