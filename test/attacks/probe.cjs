/**
 * Looks into a server under attack, from inside: preloaded with `NODE_OPTIONS=--require=<this file>` it
 * counts what is parsed and what is worked on, for each connection, through the diagnostics channels of Node
 * and Fastify. On the socket PROBE_SOCKET it replies to each line with a line of JSON:
 * `counts`, `memory` (after a collection of garbage) and `reset`. What comes with the
 * API key PROBE_IGNORES, the victim's, is not counted.
 */
'use strict';
const { subscribe } = require('node:diagnostics_channel');
const { Session } = require('node:inspector');
const { createServer } = require('node:net');
const { monitorEventLoopDelay } = require('node:perf_hooks');
const { setTimeout: pause } = require('node:timers/promises');
const { program } = require('../support/planting.cjs');

/** Collections until nothing more is found: what one frees lets the next free more. */
const COLLECTIONS = 4;
/** Between them native memory is given back, ms. */
const BREATH_MS = 50;

function watch(path) {
  const session = new Session();
  session.connect();
  // Unlike gc() this also gives back the young generation, which V8 grows to 32 MB under any load and
  // shrinks when the process is idle: it would be all that resident memory shows.
  const collect = () => session.post('HeapProfiler.collectGarbage');
  const held = monitorEventLoopDelay({ resolution: 5 });
  held.enable();
  const counts = countRequests();
  let heldBeforeMs = 0;
  const heldMs = () => Math.max(heldBeforeMs, held.max / 1e6);

  const orders = {
    counts: () => ({ ...counts.now, heldMs: heldMs() }),
    reset: () => {
      counts.reset();
      heldBeforeMs = 0;
      held.reset();
      return {};
    },
    memory: async () => {
      heldBeforeMs = heldMs();
      for (let turn = 0; turn < COLLECTIONS; turn += 1) {
        collect();
        await pause(BREATH_MS);
      }
      held.reset(); // what collections hold is not the attack's
      const { rss, heapUsed, external } = process.memoryUsage();
      return { rss, used: heapUsed + external };
    },
  };
  const server = createServer((socket) => {
    socket.setEncoding('utf8').on('error', () => undefined);
    socket.on('data', (line) => {
      void Promise.resolve(orders[line.trim()]()).then((answer) =>
        socket.write(`${JSON.stringify(answer)}\n`),
      );
    });
  });
  server.listen(path);
  server.unref();
}

/**
 * A head is waiting from when it was parsed until Fastify gets it, and is then worked on until its
 * response has left or has been closed. A request with a response from below Fastify is never worked on.
 */
function countRequests() {
  const ignored = `Bearer ${process.env.PROBE_IGNORES}`;
  const connections = new WeakMap();
  const requests = new WeakMap();
  const zero = { heads: 0, begun: 0, mostWaiting: 0, mostAtOnce: 0, mostBegun: 0 };
  const now = { ...zero };
  /** What was begun and has not ended. */
  const open = new Set();

  subscribe('http.server.request.start', ({ request, response, socket }) => {
    if (request.headers.authorization === ignored) return;
    const connection = connections.get(socket) ?? connect(socket);
    const state = { connection, begun: false, ended: false };
    requests.set(request, state);
    now.heads += 1;
    connection.waiting += 1;
    now.mostWaiting = Math.max(now.mostWaiting, connection.waiting);
    const end = () => {
      if (state.ended) return;
      state.ended = true;
      if (!state.begun) connection.waiting -= 1;
      else {
        connection.open -= 1;
        open.delete(state);
      }
    };
    response.once('finish', end).once('close', end);
  });

  let alive = 0;
  const connect = (socket) => {
    const connection = { waiting: 0, open: 0, begun: 0, closed: false };
    connections.set(socket, connection);
    alive += 1;
    socket.once('close', () => {
      connection.closed = true;
      alive -= 1;
    });
    return connection;
  };

  const begin = (request) => {
    const state = requests.get(request);
    // Requests that the server sends to itself have no connection.
    if (!state || state.ended || state.begun) return;
    state.begun = true;
    const { connection } = state;
    connection.waiting -= 1;
    connection.open += 1;
    connection.begun += 1;
    now.begun += 1;
    open.add(state);
    now.mostAtOnce = Math.max(now.mostAtOnce, connection.open);
    now.mostBegun = Math.max(now.mostBegun, connection.begun);
  };
  subscribe('fastify.initialization', ({ fastify }) => {
    fastify.addHook('onRequest', (request, _reply, done) => {
      begin(request.raw);
      done();
    });
  });

  const orphans = () => [...open].filter((state) => state.connection.closed).length;
  return {
    get now() {
      return { ...now, alive, orphans: orphans() };
    },
    reset: () => Object.assign(now, zero),
  };
}

if (program.endsWith('main.js') && process.env.PROBE_SOCKET) watch(process.env.PROBE_SOCKET);
