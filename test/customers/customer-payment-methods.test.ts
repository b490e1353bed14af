/** The payment methods of a customer: attached, by default, detached. */
import Stripe from 'stripe';
import { startApp, type RunningApp } from '../support/app';

describe('the payment methods of a customer', () => {
  let app: RunningApp;
  let stripe: Stripe;

  beforeAll(async () => {
    app = await startApp();
    stripe = app.stripe();
  });
  afterAll(() => app.close());

  const present = async (id: string, expand: string[] = []) =>
    (await stripe.customers.retrieve(id, { expand })) as Stripe.Customer;
  const attachedTo = async (customer: string) =>
    (await stripe.paymentMethods.list({ customer })).data.map(({ id }) => id);

  it('begin with a source, which pays by default', async () => {
    const customer = await stripe.customers.create({ source: 'tok_visa' });
    expect(customer.default_source).toMatch(/^pm_/);
    expect(await attachedTo(customer.id)).toEqual([customer.default_source]);
    const paid = await stripe.charges.create({
      amount: 1099,
      currency: 'usd',
      customer: customer.id,
    });
    expect(paid).toMatchObject({ status: 'succeeded', customer: customer.id });
  });

  it('are attached without becoming the default, or as the default for invoices', async () => {
    const plain = await stripe.customers.create({ payment_method: 'pm_card_visa' });
    expect(plain.default_source).toBeNull();
    expect(await attachedTo(plain.id)).toHaveLength(1);
    const invoiced = await stripe.customers.create({
      payment_method: 'pm_card_visa',
      invoice_settings: { default_payment_method: 'pm_card_visa' },
    });
    expect(await attachedTo(invoiced.id)).toEqual([
      invoiced.invoice_settings.default_payment_method,
    ]);
  });

  it('are expanded in an object and in a list', async () => {
    const { id } = await stripe.customers.create({
      source: 'tok_visa',
      email: 'expand@example.com',
      expand: ['default_source'],
    });
    const customer = await present(id, ['default_source.customer']);
    expect(customer.default_source).toMatchObject({
      object: 'payment_method',
      customer: { id, object: 'customer' },
    });
    const list = await stripe.customers.list({
      email: 'expand@example.com',
      expand: ['data.default_source'],
    });
    expect(list.data[0]?.default_source).toMatchObject({ object: 'payment_method' });
  });

  it('stop paying by default when they are detached', async () => {
    const { id, default_source: source } = await stripe.customers.create({ source: 'tok_visa' });
    await stripe.paymentMethods.detach(source as string);
    expect((await present(id)).default_source).toBeNull();
  });

  it('are detached when the customer is deleted', async () => {
    const { id, default_source: source } = await stripe.customers.create({ source: 'tok_visa' });
    await stripe.customers.del(id);
    expect(await stripe.paymentMethods.retrieve(source as string)).toMatchObject({
      customer: null,
    });
  });

  it('must exist and belong to the customer, or nothing changes', async () => {
    const other = await stripe.customers.create({ source: 'tok_visa' });
    const { id } = await stripe.customers.create({ name: 'before' });
    const source = other.default_source as string;
    await expect(
      stripe.customers.update(id, { name: 'after', default_source: source }),
    ).rejects.toMatchObject({ statusCode: 400, param: 'default_source' });
    await expect(
      stripe.customers.update(id, { name: 'after', source: 'tok_unknown' }),
    ).rejects.toMatchObject({ statusCode: 400, param: 'source' });
    await expect(
      stripe.customers.update(id, {
        name: 'after',
        invoice_settings: { default_payment_method: source },
      }),
    ).rejects.toMatchObject({ param: 'invoice_settings[default_payment_method]' });
    expect((await present(id)).name).toBe('before');
  });

  it('leave no customer behind when they cannot be attached', async () => {
    const email = 'nobody@example.com';
    await expect(stripe.customers.create({ email, source: 'tok_unknown' })).rejects.toMatchObject({
      statusCode: 400,
    });
    const keyless = await fetch(`${app.url}/v1/customers`, {
      method: 'POST',
      headers: { authorization: `Bearer ${app.apiKey}` },
      body: new URLSearchParams({ email, source: 'tok_unknown' }),
    });
    expect(keyless.status).toBe(400);
    expect((await stripe.customers.list({ email })).data).toEqual([]);
  });
});
