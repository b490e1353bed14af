/** Rows of one tenant are out of reach of another, and change under conditions. */
import { CustomersRepository } from '../../src/customers/customers.repository';
import { newId } from '../../src/wire';
import { startApp, type RunningApp } from '../support/app';

describe('rows of a tenant', () => {
  let app: RunningApp;
  let rows: CustomersRepository;
  const tenant = { account: 'one', livemode: false };
  const other = { account: 'two', livemode: false };
  const row = () => ({ id: newId('cus'), invoicePrefix: 'ROW' });

  beforeAll(async () => {
    app = await startApp();
    rows = app.app.get(CustomersRepository, { strict: false });
  });
  afterAll(() => app.close());

  it('P5 are out of reach of another tenant, whatever the conditions say', async () => {
    const { id } = await rows.insert(tenant, row());
    expect(await rows.find(other, id)).toBeNull();
    expect(await rows.findMany(other, [id])).toEqual([]);
    expect(await rows.update(other, id, { name: 'x' })).toBeNull();
    const widened = { limit: 10, where: { account: tenant.account } };
    expect((await rows.page(other, widened)).data).toEqual([]);
    expect(await rows.update(other, id, { name: 'x' }, { account: tenant.account })).toBeNull();
    expect((await rows.find(tenant, id))?.name).toBeNull();
  });

  it('change only where the condition still holds, and come back as they are afterwards', async () => {
    const { id, created } = await rows.insert(tenant, row());
    const changed = await rows.update(
      tenant,
      id,
      { name: 'new', email: undefined },
      { invoicePrefix: 'ROW' },
    );
    expect(changed).toMatchObject({ id, created, name: 'new', email: null, metadata: {} });
    expect(await rows.update(tenant, id, { name: 'newer' }, { invoicePrefix: 'X' })).toBeNull();
    expect(await rows.update(tenant, id, {})).toMatchObject({ name: 'new' });
  });

  it('are found by several ids at once, those that exist', async () => {
    const [a, b] = [await rows.insert(tenant, row()), await rows.insert(tenant, row())];
    const found = await rows.findMany(tenant, [a.id, 'cus_none', b.id]);
    expect(found.map(({ id }) => id).toSorted()).toEqual([a.id, b.id]);
    expect(await rows.findMany(tenant, [])).toEqual([]);
  });
});
