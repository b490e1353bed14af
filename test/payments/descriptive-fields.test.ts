/** Every field of the list is taken, stored, shown and copied, on payment intents and on charges. */
import Stripe from 'stripe';
import { descriptiveFields } from '../../src/payments/charges/descriptive-fields';
import { type RunningApp, startApp } from '../support/app';
import { refusal } from './payments.fixture';

type FieldName = keyof typeof descriptiveFields.schemas;

/** A value of each, in the form in which it is shown too. A field without one does not compile. */
const VALUES: Readonly<Record<FieldName, unknown>> = {
  description: 'Order 6735',
  metadata: { order: '6735' },
  receipt_email: 'ada@example.com',
  shipping: {
    name: 'Ada Lovelace',
    phone: null,
    carrier: 'Post',
    tracking_number: null,
    address: {
      line1: 'Main street 1',
      line2: null,
      city: 'Bern',
      country: 'CH',
      postal_code: '3000',
      state: null,
    },
  },
  statement_descriptor: 'SHOP',
  statement_descriptor_suffix: '6735',
  transfer_group: 'ORDER_6735',
};
const FIELDS = Object.entries(VALUES);

/** As a request may have it: a null of a hash is not sent. */
function sent(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const present = Object.entries(value).filter(([, entry]) => entry !== null);
  return Object.fromEntries(present.map(([name, entry]) => [name, sent(entry)]));
}
const USD = { amount: 2000, currency: 'usd' };
const SENT = sent(VALUES) as Stripe.PaymentIntentCreateParams & Stripe.ChargeCreateParams;

let app: RunningApp;
let stripe: Stripe;

beforeAll(async () => {
  app = await startApp({ env: { LOG_LEVEL: 'silent' } });
  stripe = app.stripe();
});

afterAll(() => app.close());

test('the list has every field that a value is tested of, and no other', () => {
  expect(Object.keys(descriptiveFields.schemas)).toEqual(Object.keys(VALUES));
});

test('a payment intent stores and shows them, and its charge gets a copy', async () => {
  const paid = { ...USD, ...SENT, confirm: true, payment_method: 'pm_card_visa' };
  const { id, latest_charge } = await stripe.paymentIntents.create(paid);
  expect(await stripe.paymentIntents.retrieve(id)).toMatchObject(VALUES);
  expect(await stripe.charges.retrieve(latest_charge as string)).toMatchObject(VALUES);
});

test('they stand in the order of all fields, as before there was a list', async () => {
  const paid = { ...USD, confirm: true, payment_method: 'pm_card_visa', expand: ['latest_charge'] };
  const { lastResponse: _, ...intent } = await stripe.paymentIntents.create(paid);
  for (const shown of [intent, intent.latest_charge as Stripe.Charge]) {
    const [id, object, ...others] = Object.keys(shown);
    expect([id, object]).toEqual(['id', 'object']);
    expect(others).toEqual(others.toSorted());
    expect(others).toEqual(expect.arrayContaining(Object.keys(VALUES)));
  }
});

test('a charge of its own stores and shows them', async () => {
  const { id } = await stripe.charges.create({ ...USD, ...SENT });
  expect(await stripe.charges.retrieve(id)).toMatchObject(VALUES);
});

test.each(FIELDS)('an update of %s alone leaves the others as they are', async (name, value) => {
  const { [name as FieldName]: _, ...others } = VALUES;
  const created = await stripe.paymentIntents.create({ ...USD, ...(sent(others) as object) });
  expect(created).not.toMatchObject({ [name]: value });
  const updated = await stripe.paymentIntents.update(created.id, { [name]: sent(value) });
  expect(updated).toMatchObject(VALUES);
});

describe('transfer_group', () => {
  const GROUP = { transfer_group: 'ORDER_6735' };
  const OTHER = { transfer_group: 'ORDER_1' };

  test('of a payment intent can be set later, and then stays', async () => {
    const { id } = await stripe.paymentIntents.create(USD);
    expect(await stripe.paymentIntents.update(id, GROUP)).toMatchObject(GROUP);
    // The same value again changes nothing.
    expect(await stripe.paymentIntents.update(id, { ...GROUP, amount: 3000 })).toMatchObject(GROUP);
    expect(await refusal(stripe.paymentIntents.update(id, OTHER))).toMatchObject({
      statusCode: 400,
      param: 'transfer_group',
      message: expect.stringContaining('ORDER_6735'),
    });
    const paid = await stripe.paymentIntents.confirm(id, { payment_method: 'pm_card_visa' });
    expect(paid).toMatchObject(GROUP);
    expect(await stripe.charges.retrieve(paid.latest_charge as string)).toMatchObject(GROUP);
  });

  test('of a charge can be set later, and then stays', async () => {
    const { id, transfer_group } = await stripe.charges.create(USD);
    expect(transfer_group).toBeNull();
    expect(await stripe.charges.update(id, GROUP)).toMatchObject(GROUP);
    const refused = await refusal(stripe.charges.update(id, OTHER));
    expect(refused).toMatchObject({ statusCode: 400, param: 'transfer_group' });
    expect(await stripe.charges.retrieve(id)).toMatchObject(GROUP);
  });

  test('cannot be unset', async () => {
    const { id } = await stripe.paymentIntents.create({ ...USD, ...GROUP });
    const refused = await refusal(stripe.paymentIntents.update(id, { transfer_group: '' }));
    expect(refused).toMatchObject({ code: 'parameter_invalid_empty', param: 'transfer_group' });
  });
});
