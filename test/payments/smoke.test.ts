import { startApp, type RunningApp } from '../support/app';
let app: RunningApp;
beforeAll(async () => { app = await startApp(); });
afterAll(async () => { await app.close(); });
test('smoke', async () => {
  const stripe = app.stripe();
  const log = (x: unknown) => console.log(JSON.stringify(x, null, 1));
  const c = await stripe.customers.create({ email: 'a@b.c', source: 'tok_visa' });
  log(c.default_source);
  const pi = await stripe.paymentIntents.create({ amount: 2000, currency: 'usd', payment_method: 'pm_card_visa', confirm: true, expand: ['latest_charge'] });
  log(pi);
  const re = await stripe.refunds.create({ payment_intent: pi.id, amount: 500, expand: ['charge.payment_intent'] });
  log(re);
  const ch = await stripe.charges.create({ amount: 100, currency: 'usd' });
  log(ch);
  await stripe.paymentIntents.create({ amount: 2000, currency: 'usd', payment_method: 'pm_card_chargeDeclined', confirm: true }).catch((e) => log(e.raw));
  log(await stripe.charges.create({ amount: 100, currency: 'usd', customer: c.id }));
});
