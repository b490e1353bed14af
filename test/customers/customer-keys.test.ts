/** Customers under an idempotency key: repeats, conflicts, refusals, card numbers. */
import { DataSource } from 'typeorm';
import { startApp, type RunningApp } from '../support/app';

describe('customers under an idempotency key', () => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await startApp();
  });
  afterAll(() => app.close());

  async function send(key: string, path: string, form?: string) {
    const headers = { authorization: `Bearer ${app.apiKey}`, 'idempotency-key': key };
    const body = form === undefined ? undefined : new URLSearchParams(form);
    const method = form === undefined ? 'DELETE' : 'POST';
    const res = await fetch(app.url + path, { method, body, headers });
    const text = await res.text();
    const replayed = res.headers.get('idempotent-replayed');
    const shouldRetry = res.headers.get('stripe-should-retry');
    const json = JSON.parse(text) as { id?: string; error?: { code?: string; message: string } };
    return { status: res.status, text, replayed, shouldRetry, json };
  }

  it('R6 are created once, and a repeat has the same bytes', async () => {
    const first = await send('create', '/v1/customers', 'email=once@example.com');
    const second = await send('create', '/v1/customers', 'email=once@example.com');
    expect([first.status, second.status]).toEqual([200, 200]);
    expect([first.replayed, second.replayed]).toEqual([null, 'true']);
    expect(second.text).toBe(first.text);
    const { data } = await app.stripe().customers.list({ email: 'once@example.com' });
    expect(data).toHaveLength(1);
  });

  it('R7 refuse another request under the key', async () => {
    await send('reused', '/v1/customers', 'name=a');
    const other = await send('reused', '/v1/customers', 'name=b');
    expect([other.status, other.json.error?.code]).toEqual([409, 'idempotency_key_reused']);
  });

  it('R13 respond to a repeat of a deletion with the deletion, not with 404', async () => {
    const { id } = await app.stripe().customers.create();
    const first = await send('delete', `/v1/customers/${id}`);
    const second = await send('delete', `/v1/customers/${id}`);
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(second.text).toBe(first.text);
  });

  it('R14 leave the key free where the parameters were refused', async () => {
    const wrong = await send('corrected', '/v1/customers', 'email=nobody');
    expect([wrong.status, wrong.json.error?.code]).toEqual([400, 'email_invalid']);
    const right = await send('corrected', '/v1/customers', 'email=somebody@example.com');
    expect([right.status, right.replayed]).toEqual([200, null]);
  });

  it('R13 do not store that others were in the way: the same key succeeds later', async () => {
    const { id } = await app.stripe().customers.create();
    const sql = app.app.get(DataSource);
    await sql.query(
      `CREATE FUNCTION in_the_way() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
       CREATE TRIGGER in_the_way BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION in_the_way()`,
    );
    const first = await send('busy', `/v1/customers/${id}`, 'name=x');
    await sql.query('DROP TRIGGER in_the_way ON customers');
    expect([first.status, first.json.error?.code]).toEqual([409, 'lock_timeout']);
    expect(first.shouldRetry).toBe('true');
    const second = await send('busy', `/v1/customers/${id}`, 'name=x');
    expect([second.status, second.replayed]).toEqual([200, null]);
  });

  it('R13 store a refusal of the operation itself', async () => {
    const first = await send('missing', '/v1/customers/cus_nobody', 'name=x');
    const second = await send('missing', '/v1/customers/cus_nobody', 'name=x');
    expect([first.status, second.status, second.replayed]).toEqual([404, 404, 'true']);
    expect(second.text).toBe(first.text);
  });

  it('refuse a card number before the key, the body or a response is stored', async () => {
    const number = '4000056655665556';
    const refused = await send('secret', '/v1/customers', `metadata[card]=${number}`);
    expect([refused.status, refused.json.error?.code]).toEqual([400, 'card_number_refused']);
    await expectNowhere(number);
  });

  it('R23 are refused where they look like a card number, and stored nowhere', async () => {
    const number = '6011111111111117';
    const headers = { authorization: `Bearer ${app.apiKey}`, 'idempotency-key': number };
    const body = new URLSearchParams('name=a');
    const refused = await fetch(`${app.url}/v1/customers`, { method: 'POST', headers, body });
    const text = await refused.text();
    expect(refused.status).toBe(400);
    expect(text).toContain('idempotency_key_invalid');
    expect(text + JSON.stringify([...refused.headers])).not.toContain(number);
    await expectNowhere(number);
  });

  it('R23 are not asked for where they look like a card number', async () => {
    const headers = { authorization: `Bearer ${app.apiKey}` };
    const ask = async (key: string) => {
      const res = await fetch(`${app.url}/v1/idempotency_keys/${key}`, { headers });
      return { status: res.status, text: await res.text() };
    };
    for (const key of ['6011111111111117', '6011-1111-1111-1117', '6011%201111%201111%201117']) {
      const { status, text } = await ask(key);
      expect([status, text]).toEqual([400, expect.stringContaining('idempotency_key_invalid')]);
      expect(text).not.toContain('6011');
    }
    // A UUID, though its first groups would pass for one.
    expect((await ask('59861026-1836-4435-b32f-93014c15e101')).status).toBe(404);
  });

  /** No row of any table holds the text. */
  async function expectNowhere(number: string): Promise<void> {
    const dataSource = app.app.get(DataSource, { strict: false });
    const tables = await dataSource.query<{ name: string }[]>(
      `SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
    );
    for (const { name } of tables) {
      const [{ found }] = await dataSource.query<[{ found: number }]>(
        `SELECT count(*)::int AS found FROM ${name} AS t WHERE t::text LIKE '%' || $1 || '%'`,
        [number],
      );
      expect([name, found]).toEqual([name, 0]);
    }
  }
});
