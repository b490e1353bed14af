/** The gateway over HTTP against an acquirer that responds with anything, late, in part, or not at all. */
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type HttpGateway, OutcomeUnknownError } from '../../src/gateway';
import { charge, gatewayTo, patient } from './gateways.fixture';

const APPROVED = JSON.stringify({ outcome: 'approved', reference: 'acq_1' });

let server: Server;
let sockets: Set<Socket>;
let gateways: HttpGateway[];

beforeEach(() => {
  sockets = new Set();
  gateways = [];
});

afterEach(async () => {
  for (const gateway of gateways) gateway.onApplicationShutdown();
  server.closeAllConnections();
  server.close();
  if (server.listening) await once(server, 'close');
});

/** A gateway to an acquirer that treats its callers so. */
async function to(acquirer: RequestListener, deadlineMs = 60_000): Promise<HttpGateway> {
  server = createServer(acquirer).listen(0, '127.0.0.1');
  server.on('connection', (socket) => sockets.add(socket));
  await once(server, 'listening');
  const gateway = gatewayTo(here(), deadlineMs);
  gateways.push(gateway);
  return gateway;
}

const here = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const saying = (status: number, body: string) =>
  ((_, res) => {
    res.writeHead(status).end(body);
  }) satisfies RequestListener;

const unclear: [string, RequestListener][] = [
  ['500', saying(500, '{"error":{"code":"fault","message":"…"}}')],
  ['503 with an outcome', saying(503, APPROVED)],
  ['200 with nothing', saying(200, '')],
  ['200 with something else', saying(200, '<html>Welcome</html>')],
  ['200 with null', saying(200, 'null')],
  ['200 and no reference', saying(200, '{"outcome":"approved"}')],
  ['402 and no reason', saying(402, '{"outcome":"declined"}')],
  ['400', saying(400, '{"error":{"code":"invalid_order","message":"…"}}')],
  ['404 of another server', saying(404, 'Not Found')],
  ['a redirect', (_, res) => res.writeHead(307, { location: '/elsewhere' }).end()],
  ['a connection that is reset', ({ socket }) => socket.resetAndDestroy()],
  ['a connection that is closed', ({ socket }) => socket.destroy()],
  [
    'half a response',
    ({ socket }, res) => {
      res.writeHead(200, { 'content-length': APPROVED.length });
      res.write(APPROVED.slice(0, 10), () => socket.destroy());
    },
  ],
  [
    'a whole outcome in a response that goes on, and breaks',
    ({ socket }, res) => {
      res.writeHead(200, { 'content-length': APPROVED.length + 1 });
      res.write(APPROVED, () => socket.destroy());
    },
  ],
  ['a response without end', (_, res) => res.writeHead(200).end(' '.repeat(200_000))],
  ['what is not HTTP', ({ socket }) => socket.end('hello\r\n\r\n')],
];

test.each(unclear)('R12 %s is an unknown outcome, and no look-up', async (_, acquirer) => {
  const gateway = await to(acquirer);
  const order = charge();
  expect(await gateway.charge('key', order, patient())).toEqual({ outcome: 'unknown' });
  await expect(gateway.lookUp('key', order.tenant, patient())).rejects.toThrow(OutcomeUnknownError);
});

test('R12 no connection is an unknown outcome', async () => {
  const gateway = await to(saying(200, APPROVED));
  server.close();
  await once(server, 'close');
  expect(await gateway.charge('key', charge(), patient())).toEqual({ outcome: 'unknown' });
});

test.each([
  ['says nothing', () => undefined],
  [
    'drips its response',
    (_, res) => {
      const timer = setInterval(() => res.write(' '), 20);
      res.once('close', () => clearInterval(timer));
    },
  ],
] satisfies [string, RequestListener][])(
  'R12 an acquirer that %s is given up at the deadline: unknown',
  async (_, acquirer) => {
    const gateway = await to(acquirer, 150);
    const begun = performance.now();
    expect(await gateway.charge('key', charge(), patient())).toEqual({ outcome: 'unknown' });
    expect(performance.now() - begun).toBeGreaterThan(140);
  },
);

test('R12 a caller that gives up gets its outcome at once: unknown', async () => {
  let asked = (): void => undefined;
  const arrived = new Promise<void>((resolve) => (asked = resolve));
  const gateway = await to(() => asked());
  const caller = new AbortController();
  const outcome = gateway.charge('key', charge(), caller.signal);
  await arrived;
  caller.abort();
  expect(await outcome).toEqual({ outcome: 'unknown' });
});

test('a call is sent once, whatever comes of it: repeating is up to who holds the key', async () => {
  let calls = 0;
  const gateway = await to((req, res) => {
    calls += 1;
    if (calls === 1) saying(200, APPROVED)(req, res);
    else req.socket.destroy();
  });
  await gateway.charge('first', charge(), patient());
  // On a connection that was used before, where HTTP clients like to try again.
  await gateway.charge('second', charge(), patient());
  expect(calls).toBe(2);
});

test('calls one after another share a connection', async () => {
  const gateway = await to(saying(200, APPROVED));
  for (let i = 0; i < 20; i += 1) await gateway.charge(`${i}`, charge(), patient());
  expect(sockets.size).toBe(1);
});

test('the URL of the acquirer may have a path', async () => {
  const paths: string[] = [];
  await to((req, res) => {
    paths.push(`${req.method} ${req.url}`);
    saying(200, APPROVED)(req, res);
  });
  const gateway = gatewayTo(`${here()}/sandbox`);
  gateways.push(gateway);
  const order = charge({ tenant: { account: 'shop', livemode: false } });
  await gateway.charge('key', order, patient());
  expect(paths).toEqual(['PUT /sandbox/v1/merchants/shop/operations/key']);
});

test('trouble is logged with its reason, and not once per call', async () => {
  const gateway = await to(saying(502, ''));
  const warn = jest.spyOn(gateway['logger'], 'warn').mockImplementation(() => undefined);
  const clock = jest.spyOn(performance, 'now').mockReturnValue(performance.now());
  for (let i = 0; i < 10; i += 1) await gateway.charge('key', charge(), patient());
  clock.mockRestore();
  expect(warn).toHaveBeenCalledTimes(1);
  expect(warn).toHaveBeenCalledWith(expect.stringContaining('responded with the status 502'));
});
