/** Payment methods on the running application, through the official SDK. */
import { app, refusal, startOneApplication, stripe, USD } from './payments.fixture';

startOneApplication();

test.each([
  ['pm_card_visa', 'visa', '4242'],
  ['tok_mastercard', 'mastercard', '4444'],
  ['pm_card_visa_chargeDeclined', 'visa', '0002'],
])('%s becomes a payment method of its own when it is used', async (token, brand, last4) => {
  const { id: customer } = await stripe.customers.create({});
  const method = await stripe.paymentMethods.attach(token, { customer });
  expect(method.id).toMatch(/^pm_[0-9A-Za-z]{24}$/);
  expect(method).toMatchObject({
    object: 'payment_method',
    billing_details: { address: null, email: null, name: null, phone: null, tax_id: null },
    card: { brand, last4, networks: { available: [brand], preferred: null } },
    customer,
    livemode: false,
    metadata: {},
    type: 'card',
  });
  expect(await stripe.paymentMethods.retrieve(method.id)).toMatchObject(method);
  const again = await stripe.paymentMethods.attach(token, { customer });
  expect(again.id).not.toBe(method.id);
  expect(again.card?.fingerprint).toBe(method.card?.fingerprint);
});

test('a customer has a list of payment methods, newest first, which detaching leaves', async () => {
  const { id: customer } = await stripe.customers.create({});
  const first = await stripe.paymentMethods.attach('pm_card_visa', { customer });
  const second = await stripe.paymentMethods.attach('pm_card_amex', { customer });
  const list = await stripe.paymentMethods.list({ customer, type: 'card' });
  expect(list.data.map(({ id }) => id)).toEqual([second.id, first.id]);
  const same = await stripe.customers.listPaymentMethods(customer);
  expect(same).toMatchObject({ url: `/v1/customers/${customer}/payment_methods` });
  expect(same.data).toEqual(list.data);
  const detached = await stripe.paymentMethods.detach(second.id);
  expect(detached).toMatchObject({ id: second.id, customer: null });
  expect((await stripe.paymentMethods.list({ customer })).data.map(({ id }) => id)).toEqual([
    first.id,
  ]);
  expect(await refusal(stripe.paymentMethods.detach(second.id))).toMatchObject({ statusCode: 400 });
});

test('a payment method belongs to one customer at most', async () => {
  const { id: customer } = await stripe.customers.create({});
  const { id: another } = await stripe.customers.create({});
  const { id } = await stripe.paymentMethods.attach('pm_card_visa', { customer });
  expect((await stripe.paymentMethods.attach(id, { customer })).customer).toBe(customer);
  const error = await refusal(stripe.paymentMethods.attach(id, { customer: another }));
  expect(error).toMatchObject({ statusCode: 400, param: 'payment_method' });
  for (const params of [{ ...USD }, { ...USD, customer: another }]) {
    const pay = stripe.paymentIntents.create({ ...params, payment_method: id, confirm: true });
    expect(await refusal(pay)).toMatchObject({ statusCode: 400, param: 'payment_method' });
  }
});

test('detaching the default leaves the customer without one, and deleting detaches all', async () => {
  const { id: customer, default_source } = await stripe.customers.create({ source: 'tok_visa' });
  await stripe.paymentMethods.detach(default_source as string);
  expect(await stripe.customers.retrieve(customer)).toMatchObject({ default_source: null });
  const { id } = await stripe.paymentMethods.attach('pm_card_visa', { customer });
  await stripe.customers.del(customer);
  expect((await stripe.paymentMethods.retrieve(id)).customer).toBeNull();
});

test('a payment that is to be kept for later attaches its card to the customer', async () => {
  const { id: customer } = await stripe.customers.create({});
  const intent = await stripe.paymentIntents.create({
    ...USD,
    customer,
    payment_method: 'pm_card_visa',
    setup_future_usage: 'off_session',
    confirm: true,
    expand: ['payment_method'],
  });
  expect(intent.payment_method).toMatchObject({ customer });
});

test.each([
  ['retrieve', () => stripe.paymentMethods.retrieve('pm_nobody'), 404, 'id'],
  ['detach', () => stripe.paymentMethods.detach('pm_nobody'), 404, 'id'],
  [
    'attach',
    () => stripe.paymentMethods.attach('pm_card_visa', { customer: 'cus_nobody' }),
    400,
    'customer',
  ],
  ['list of a customer', () => stripe.customers.listPaymentMethods('cus_nobody'), 404, 'id'],
  ['list', () => stripe.paymentMethods.list({ customer: 'cus_nobody' }), 400, 'customer'],
])('%s of what is not there is resource_missing', async (_name, call, statusCode, param) => {
  expect(await refusal(call())).toMatchObject({ statusCode, code: 'resource_missing', param });
});

test('another account, and the other mode, see nothing of a payment method', async () => {
  const { id: customer } = await stripe.customers.create({});
  const { id } = await stripe.paymentMethods.attach('pm_card_visa', { customer });
  for (const [account, livemode] of [
    ['other', false],
    ['shop', true],
  ] as const) {
    const theirs = app.stripe({ apiKey: await app.createKey(account, livemode) });
    const { id: theirCustomer } = await theirs.customers.create({});
    for (const call of [
      () => theirs.paymentMethods.retrieve(id),
      () => theirs.paymentMethods.detach(id),
      () => theirs.paymentMethods.attach(id, { customer: theirCustomer }),
    ]) {
      expect(await refusal(call())).toMatchObject({ statusCode: 404, code: 'resource_missing' });
    }
    const pay = theirs.paymentIntents.create({ ...USD, payment_method: id });
    expect(await refusal(pay)).toMatchObject({ statusCode: 400, param: 'payment_method' });
    expect((await theirs.paymentMethods.list()).data).toEqual([]);
  }
});
