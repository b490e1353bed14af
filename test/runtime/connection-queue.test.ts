/** Limits on the requests of one connection, on Node's server and real sockets. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { createHttpServer } from '../../src/runtime';
import { queueByConnection } from '../../src/runtime/connection-queue';
import { refuseOnSocket } from '../../src/wire/errors/socket-errors';
import { eventually } from '../support/eventually';

/** Ends the response of a handler that runs, with the path it was asked for. */
interface Running {
  readonly path: string;
  readonly response: ServerResponse;
  end(): void;
}

let server: Server | undefined;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server?.closeAllConnections();
  if (server) await new Promise((resolve) => server?.close(resolve));
  server = undefined;
});

async function listening(made: Server): Promise<number> {
  server = made.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A server whose handlers run until the test ends them, or lets all end by themselves. */
async function patientServer(make = createHttpServer) {
  const started: Running[] = [];
  let patient = true;
  const port = await listening(
    make((request: IncomingMessage, response: ServerResponse) => {
      const path = request.url ?? '';
      const running = {
        path,
        response,
        end: () => void (response.writableEnded || response.end(path)),
      };
      started.push(running);
      if (!patient) running.end();
    }, {}),
  );
  const endAll = () => {
    patient = false;
    for (const running of started) running.end();
  };
  return { port, started, endAll };
}

function open(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  sockets.push(socket);
  return socket;
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const paths = (count: number) => Array.from({ length: count }, (_, index) => `/${index}`);

/** The bodies of the responses on a connection, until there are `count`. */
async function responses(socket: Socket, count: number): Promise<string[]> {
  const found: string[] = [];
  let text = '';
  while (found.length < count) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    text += chunk.toString('latin1');
    for (let end = 0; (end = text.indexOf('\r\n\r\n') + 4) >= 4;) {
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1]);
      if (text.length < end + length) break;
      found.push(text.slice(end, end + length));
      text = text.slice(end + length);
    }
  }
  return found;
}

describe('the requests of one connection', () => {
  it('run four at a time, and the next one starts when one is answered', async () => {
    const { port, started } = await patientServer();
    open(port).write(paths(10).map(get).join(''));
    await eventually('four run', () => started.length === 4);
    // Another connection comes after it, so what could have started has started.
    const other = open(port);
    other.write(get('/other'));
    await eventually('the other runs', () => started.length === 5);
    expect(started.map(({ path }) => path)).toEqual(['/0', '/1', '/2', '/3', '/other']);
    started[0]?.end();
    await eventually('the fifth runs', () => started.length === 6);
    expect(started[5]?.path).toBe('/4');
  });

  it('are answered in the order in which they were sent, whichever is ready first', async () => {
    const { port, started } = await patientServer();
    const socket = open(port);
    socket.write(paths(20).map(get).join(''));
    const received = responses(socket, 20);
    for (let ended = 0; ended < 20;) {
      await eventually('the next ones run', () => started.length >= Math.min(ended + 4, 20));
      const batch = started.slice(ended, ended + 4);
      for (const running of batch.toReversed()) running.end();
      ended += batch.length;
    }
    expect(await received).toEqual(paths(20));
  });

  it('wait unread: of 20,000 that arrive at once few are parsed, and all are answered', async () => {
    let parsed = 0;
    const { port, started, endAll } = await patientServer((handler, options) => {
      const made = createHttpServer(handler, options);
      made.prependListener('request', () => (parsed += 1));
      return made;
    });
    const socket = open(port);
    socket.write(paths(20_000).map(get).join(''));
    await eventually('four run', () => started.length === 4);
    // Node resumes reading for each response that it must keep back.
    for (const running of started.slice(1, 4)) running.end();
    open(port).write(get('/other'));
    await eventually('the other runs', () => started.some(({ path }) => path === '/other'));
    expect(parsed).toBeGreaterThan(4);
    expect(parsed).toBeLessThan(300);

    const received = responses(socket, 20_000);
    endAll();
    expect(await received).toEqual(paths(20_000));
  });

  it('wait as bytes: a hundred connections with 1,000 requests each are not parsed in one go', async () => {
    let parsed = 0;
    const { port, started, endAll } = await patientServer((handler, options) => {
      const made = createHttpServer(handler, options);
      made.prependListener('request', () => (parsed += 1));
      return made;
    });
    const greedy = paths(100).map(() => open(port));
    for (const socket of greedy) socket.write(paths(1_000).map(get).join(''));
    await eventually('four of each run', () => started.length === 400);
    expect(parsed).toBeLessThan(100 * 100);
    const received = Promise.all(greedy.map((socket) => responses(socket, 1_000)));
    endAll();
    expect(new Set((await received).map((found) => found.join(' ')))).toEqual(
      new Set([paths(1_000).join(' ')]),
    );
  });

  it('are in time, however long those before them take', async () => {
    const { port, endAll } = await patientServer((handler) =>
      createHttpServer(handler, {
        http: { connectionsCheckingInterval: 20, headersTimeout: 100 },
        requestTimeout: 100,
      }),
    );
    server!.on('clientError', refuseOnSocket);
    const tooLate = once(server!, 'clientError');
    const socket = open(port);
    // What is parsed at once ends in the middle of a head.
    socket.write(paths(500).map(get).join(''));
    const received = responses(socket, 500);
    await tooLate;
    endAll();
    expect(await received).toEqual(paths(500));
  });

  it('may have bodies that arrive after they began to wait', async () => {
    const bodies: string[] = [];
    const port = await listening(
      createHttpServer((request, response) => {
        void buffer(request).then((body) => {
          bodies.push(`${request.url} ${body.length}`);
          response.end(request.url);
        });
      }, {}),
    );
    const socket = open(port);
    const sent = paths(12);
    const body = 'x'.repeat(300_000);
    for (const path of sent) {
      socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`);
      socket.write(body);
    }
    expect(await responses(socket, sent.length)).toEqual(sent);
    expect(bodies).toEqual(sent.map((path) => `${path} ${body.length}`));
  });

  it('never run in the async context of one before them', async () => {
    const context = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    const port = await listening(
      createHttpServer((request, response) => {
        seen.push(context.getStore());
        context.run(request.url ?? '', () => {
          setImmediate(() => response.end(request.url));
        });
      }, {}),
    );
    const socket = open(port);
    socket.write(paths(50).map(get).join(''));
    await responses(socket, 50);
    expect(seen).toEqual(Array.from({ length: 50 }, () => undefined));
  });

  it('are too many when more wait than may: the connection is closed', async () => {
    const started: string[] = [];
    const handler = ({ url = '' }: IncomingMessage) => void started.push(url);
    const limits = { maxRunning: 2, maxWaiting: 5, maxWaitingInAll: 100 };
    const port = await listening(createServer(queueByConnection(handler, limits)));
    const socket = open(port);
    socket.resume().write(paths(7).map(get).join(''));
    await eventually('two run', () => started.length === 2);
    expect(socket.destroyed).toBe(false);
    socket.write(get('/8'));
    // What waits is not read on, so the eighth is seen only together with those before it.
    const greedy = open(port);
    greedy.resume().write(paths(8).map(get).join(''));
    await once(greedy, 'close');
    expect(started).toHaveLength(4);
  });
});

it('the connection with the most that waits is closed when all of them have too much', async () => {
  const started: string[] = [];
  const handler = ({ url = '' }: IncomingMessage) => void started.push(url);
  const limits = { maxRunning: 1, maxWaiting: 50, maxWaitingInAll: 60 };
  const port = await listening(createServer(queueByConnection(handler, limits)));
  const closed: string[] = [];
  const send = async (name: string, count: number) => {
    const socket = open(port);
    socket.resume().on('close', () => closed.push(name));
    socket.write(get(`/${name}`) + paths(count).map(get).join(''));
    await eventually(`${name} runs`, () => started.includes(`/${name}`));
  };
  await send('modest', 10);
  await send('greedy', 40);
  await send('late', 10);
  expect(closed).toEqual([]);
  await send('further', 1);
  await eventually('one is closed', () => closed.length > 0);
  // There is room again.
  await send('another', 40);
  await send('last', 1);
  await eventually('the next one is closed', () => closed.length > 1);
  expect(closed).toEqual(['greedy', 'another']);
});

describe('when a connection closes', () => {
  it('each of its responses is told once, and nothing that waits is started', async () => {
    const closed: string[] = [];
    let parsed = 0;
    const { port, started } = await patientServer((handler, options) => {
      const made = createHttpServer(handler, options);
      made.prependListener('request', ({ url = '' }, response) => {
        parsed += 1;
        response.on('close', () => closed.push(url));
      });
      return made;
    });
    const socket = open(port);
    socket.write(paths(40).map(get).join(''));
    await eventually('all are parsed', () => parsed === 40);
    socket.destroy();
    // Nothing is read of it any more, so it is seen to be closed once something is written.
    started[0]?.end();
    started[1]?.end();
    await eventually('all are told', () => closed.length >= 40);
    const before = started.length;
    open(port).write(get('/other'));
    await eventually('the other runs', () => started.length > before);
    expect(closed.toSorted()).toEqual(paths(40).toSorted());
    expect(before).toBeLessThan(10);
    expect(started.slice(before).map(({ path }) => path)).toEqual(['/other']);
    // Handlers that go on may still respond.
    for (const { response } of started) response.end('late');
  });
});

describe('a connection on which nothing moves', () => {
  it('is closed when its client takes nothing of its response', async () => {
    const port = await listening(
      createHttpServer((_request, response) => response.end(Buffer.alloc(50_000_000)), {}),
    );
    server!.setTimeout(300);
    const socket = open(port);
    const served = once(server!, 'connection') as Promise<[Socket]>;
    socket.pause();
    socket.write(get('/large'));
    const [theirs] = await served;
    await once(theirs, 'close');
  });

  it('stays while a handler works', async () => {
    const { port, started } = await patientServer();
    server!.setTimeout(100);
    const silence = once(server!, 'timeout');
    const socket = open(port);
    socket.write(get('/1'));
    await silence;
    const received = responses(socket, 1);
    started[0]?.end();
    expect(await received).toEqual(['/1']);
  });
});

it('a client that expects to be asked for its body is not asked by the server itself', async () => {
  const port = await listening(
    createHttpServer((_request, response) => {
      response.statusCode = 401;
      response.end('/401');
    }, {}),
  );
  const socket = open(port);
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  socket.write(
    'POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n',
  );
  await once(socket, 'close');
  expect(text).toMatch(/^HTTP\/1\.1 401 /);
  expect(text).toMatch(/connection: close/i);
});
