/** Requests that are refused before their body is read, as bytes on a socket. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { randomUUID } from 'node:crypto';
import Stripe from 'stripe';
import { DataSource } from 'typeorm';
import { type RunningApp, startApp } from '../support/app';

let shop: RunningApp;
beforeAll(async () => {
  shop = await startApp();
});
afterAll(() => shop.close());

const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

/** One more than the limit of 1 MiB. */
const TOO_LARGE = 1_048_577;
/** What the server throws away at most. */
const MAX_REST = 16 * 1024 * 1024;
const FORM = 'Content-Type: application/x-www-form-urlencoded\r\n';
const KEY = () => `Authorization: Bearer ${shop.apiKey}\r\n`;
const UNKNOWN = `Authorization: Bearer sk_test_${'a'.repeat(43)}\r\n`;

function open(): Socket {
  const socket = connect(shop.port, '127.0.0.1');
  socket.on('error', () => undefined);
  sockets.push(socket);
  return socket;
}

const head = (line: string, length: number, more = '') =>
  `${line} HTTP/1.1\r\nHost: x\r\n${FORM}${more}Content-Length: ${length}\r\n\r\n`;

/** The first response: its status, and its whole text. */
async function response(socket: Socket): Promise<{ status: number; text: string }> {
  let text = '';
  for (;;) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    text += chunk.toString('latin1');
    const end = text.indexOf('\r\n\r\n') + 4;
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1]);
    if (end >= 4 && text.length >= end + length) {
      socket.resume(); // so that it hears of its end
      return { status: Number(text.slice(9, 12)), text };
    }
  }
}

const cases: [string, string, number, () => string][] = [
  ['without a key', 'POST /v1/customers', 401, () => ''],
  ['with a key that is none', 'POST /v1/customers', 401, () => 'Authorization: Bearer x\r\n'],
  ['with an unknown key', 'POST /v1/customers', 401, () => UNKNOWN],
  ['without a key, to no route', 'POST /v1/nothing', 401, () => ''],
  ['without a key, with a wrong method', 'PUT /v1/customers', 401, () => ''],
  ['without a key, to a whole URL', 'POST http://x/v1/customers', 401, () => ''],
  ['without a key, to a path in disguise', 'POST /%761/%63ustomers', 401, () => ''],
  ['to no route', 'POST /v1/nothing', 404, KEY],
  ['to no route outside of /v1', 'POST /nothing', 404, () => ''],
  ['with a wrong method', 'PUT /v1/customers', 404, KEY],
  ['with a wrong method outside of /v1', 'POST /docs', 404, () => ''],
  ['for another account', 'POST /v1/customers', 403, () => `${KEY()}Stripe-Account: acct_1\r\n`],
  ['with a query', 'POST /v1/customers?a=1', 400, KEY],
  ['with a body that no one reads', 'GET /v1/customers', 200, KEY],
  ['for the page, with a body', 'GET /docs', 200, () => ''],
  ['for a path that cannot be decoded', 'POST /v1/%ff', 400, () => ''],
];

describe('a request that is answered without its body', () => {
  it.each(cases)('%s: %s is %i before any of the body has arrived', async (...row) => {
    const [, line, status, more] = row;
    const socket = open();
    socket.write(head(line, 1_000_000, more()));
    const received = await response(socket);
    expect(received.status).toBe(status);
    expect(received.text).toMatch(/^request-id: req_/im);
  });

  it.each([...cases, ['with a body too large', 'POST /v1/customers', 413, KEY] as const])(
    '%s: %s is %i to a client that sends all of it first, and the connection stays',
    async (...row) => {
      const [, line, status, more] = row;
      const socket = open();
      for (const length of [TOO_LARGE, 3_000_000]) {
        const received = response(socket);
        socket.write(head(line, length, more()));
        socket.write(Buffer.alloc(length, 'a'));
        expect((await received).status).toBe(status);
      }
    },
  );

  it.each(cases)('%s: %s is %i to one that wants no further request', async (...row) => {
    const [, line, status, more] = row;
    const socket = open();
    const closed = once(socket, 'close');
    socket.write(head(line, TOO_LARGE, `${more()}Connection: close\r\n`));
    const received = await response(socket);
    expect(received.status).toBe(status);
    expect(received.text).toMatch(/^connection: close/im);
    // Were it closed now, what the client still sends would break it under the response.
    const other = open();
    other.write(head('GET /health', 0));
    await response(other);
    expect(socket.readableEnded).toBe(false);
    socket.write(Buffer.alloc(TOO_LARGE, 'a'));
    expect(await closed).toEqual([false]);
  });

  it('is the last one of its connection where it offers another protocol, as Java’s client does', async () => {
    const socket = open();
    const closed = once(socket, 'close');
    const upgrade =
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEA\r\n';
    socket.write(head('POST /v1/customers', TOO_LARGE, upgrade));
    const { status, text } = await response(socket);
    expect(status).toBe(401);
    expect(text).toMatch(/^connection: close/im);
    socket.write(Buffer.alloc(TOO_LARGE, 'a'));
    expect(await closed).toEqual([false]);

    const offered = open();
    offered.write(head('GET /health', 0, upgrade));
    const { status: health, text: kept } = await response(offered);
    expect([health, /^connection: keep-alive/im.test(kept)]).toEqual([200, true]);
  });

  it('in chunks is 413 once it is too large, and the connection stays', async () => {
    const socket = open();
    const received = response(socket);
    const chunk = Buffer.alloc(100_000, 'a');
    socket.write(
      `POST /v1/customers HTTP/1.1\r\nHost: x\r\n${FORM}${KEY()}Transfer-Encoding: chunked\r\n\r\n`,
    );
    for (let sent = 0; sent < 20; sent += 1) {
      socket.write(`${chunk.length.toString(16)}\r\n`);
      socket.write(chunk);
      socket.write('\r\n');
    }
    socket.write('0\r\n\r\n');
    expect((await received).status).toBe(413);
    const next = response(socket);
    socket.write(head('POST /v1/customers', 8, KEY()) + 'name=Ada');
    expect((await next).status).toBe(200);
  });

  it('in chunks of one byte is 413 before they fill the memory, and the connection stays', async () => {
    const socket = open();
    const received = response(socket);
    socket.write(
      `POST /v1/customers HTTP/1.1\r\nHost: x\r\n${FORM}${KEY()}Transfer-Encoding: chunked\r\n\r\n`,
    );
    socket.write('1\r\na\r\n'.repeat(100_000));
    socket.write('0\r\n\r\n');
    const { status, text } = await received;
    expect(status).toBe(413);
    expect(text).toContain('too many small chunks');
    const next = response(socket);
    socket.write(head('POST /v1/customers', 8, KEY()) + 'name=Ada');
    expect((await next).status).toBe(200);
  });

  it('may come in a few thousand chunks', async () => {
    const socket = open();
    const received = response(socket);
    socket.write(
      `POST /v1/customers HTTP/1.1\r\nHost: x\r\n${FORM}${KEY()}Transfer-Encoding: chunked\r\n\r\n`,
    );
    socket.write('c\r\ndescription=\r\n' + '1\r\na\r\n'.repeat(4_000) + '0\r\n\r\n');
    expect((await received).status).toBe(200);
  });

  it('that does not arrive in time loses its connection', async () => {
    const socket = open();
    socket.write(head('POST /v1/customers', 1_000_000));
    expect((await response(socket)).status).toBe(401);
    await once(socket, 'close');
  });

  it('that never ends loses its connection', async () => {
    const socket = open();
    const refusal = response(socket);
    socket.write(head('POST /v1/customers', 10 * MAX_REST));
    const { status, text } = await refusal;
    expect(status).toBe(401);
    expect(text).toMatch(/^connection: close/im);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const chunk = Buffer.alloc(1_000_000);
    const send = () => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on('drain', send);
    send();
    await closed;
    expect(socket.bytesWritten).toBeLessThan(3 * MAX_REST);
  });

  it('is not asked for a body that nobody wants, and asked for one that is wanted', async () => {
    const expects = 'Expect: 100-continue\r\n';
    const refused = open();
    refused.write(head('POST /v1/customers', 8, expects));
    expect((await response(refused)).status).toBe(401);

    // It may lose patience and send it all the same.
    const impatient = open();
    const closed = once(impatient, 'close');
    impatient.write(head('POST /v1/customers', TOO_LARGE, expects));
    const { status, text } = await response(impatient);
    expect(status).toBe(401);
    expect(text).toMatch(/^connection: close/im);
    impatient.write(Buffer.alloc(TOO_LARGE, 'a'));
    expect(await closed).toEqual([false]);

    const wanted = open();
    wanted.write(head('POST /v1/customers', 8, `${KEY()}${expects}`));
    const [asked] = (await once(wanted, 'data')) as [Buffer];
    expect(asked.toString()).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    const received = response(wanted);
    wanted.write('name=Ada');
    expect((await received).status).toBe(200);
  });
});

it.each([
  ['401', { apiKey: 'sk_test_wrong' }, 1_000_000, Stripe.errors.StripeAuthenticationError],
  ['413', {}, 2_000_000, Stripe.errors.StripeAPIError],
])('the SDK reads its %s and no broken connection', async (_, config, length, type) => {
  const stripe = shop.stripe({ ...config, maxNetworkRetries: 0 });
  for (let time = 0; time < 30; time += 1) {
    const error = await stripe.customers
      .create({ description: 'x'.repeat(length) })
      .then(String, (thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(type);
  }
});

describe('headers', () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, index) => `a${index}: 1\r\n`).join('');

  it('that are too many are refused: the key might be among those that are dropped', async () => {
    const payment = 'amount=2000&currency=usd&payment_method=pm_card_visa&confirm=true';
    const key = randomUUID();
    for (const count of [1_010, 1_500, 198]) {
      const more = `${KEY()}${many(count)}Idempotency-Key: ${key}\r\n`;
      const socket = open();
      socket.write(head('POST /v1/payment_intents', payment.length, more) + payment);
      const { status, text } = await response(socket);
      expect(status).toBe(431);
      expect(text).toContain('at most 200 are accepted');
    }
    const paid = await shop.app.get(DataSource).query('SELECT id FROM payment_intents');
    expect(paid).toEqual([]);
  });

  it('may be two hundred', async () => {
    const socket = open();
    // Host and Authorization are the other two.
    socket.write(`GET /v1/customers HTTP/1.1\r\nHost: x\r\n${KEY()}${many(198)}\r\n`);
    expect((await response(socket)).status).toBe(200);
  });
});
