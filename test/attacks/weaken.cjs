/**
 * Takes one defence away, from outside: preloaded into a server under attack with
 * `NODE_OPTIONS=--require=<this file>` it changes the compiled code before it is loaded. The
 * product itself has no switch for any of this, so no build of it can reach one.
 *
 * WEAKNESS=NAME of test/attacks/planted-weaknesses.ts
 */
'use strict';
const { subscribe } = require('node:diagnostics_channel');
const { EventEmitter } = require('node:events');
const { load, program, replace, wrap } = require('../support/planting.cjs');

/** The class of the queues, which is not exported: taken from an instance. */
function connectionQueue() {
  const { queueByConnection } = load('runtime', 'connection-queue.js');
  const socket = new EventEmitter();
  const limits = { maxRunning: 1, maxWaiting: 1 };
  queueByConnection(() => undefined, limits)({ socket }, new EventEmitter());
  const [symbol] = Object.getOwnPropertySymbols(socket).filter(
    ({ description }) => description === 'paidonce:connection-queue',
  );
  return Object.getPrototypeOf(socket[symbol]);
}

/** Other limits for the heads that wait, and what is done to each connection before a head is added. */
function limitWaiting(limits, change = () => undefined) {
  wrap(
    connectionQueue(),
    'add',
    (original) =>
      function (request, response) {
        Object.assign(this.heads, { limits: { ...this.heads.limits, ...limits } });
        change(this.socket);
        return original.call(this, request, response);
      },
  );
}

/** The rest of an unwanted body, once it has arrived. */
const arrived = (request) =>
  new Promise((resolve) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.once('end', () => resolve(chunks)).once('close', () => resolve(chunks));
  });

const weaknesses = {
  /** The whole text in NFKC, as the search for card numbers had it. */
  quadratic_search() {
    const { hasCardNumber, ...others } = load('idempotency', 'card-numbers', 'card-number.js');
    replace(['idempotency', 'card-numbers', 'card-number.js'], {
      ...others,
      hasCardNumber: (text) => hasCardNumber(text.normalize('NFKC')),
    });
  },

  json_uncounted() {
    const limits = load('wire', 'request', 'body-limits.js');
    replace(['wire', 'request', 'body-limits.js'], {
      ...limits,
      limitParameters: () => undefined,
    });
  },

  chunks_uncounted() {
    const arrival = load('wire', 'request', 'body-arrival.js');
    const receiveBody = (_request, _reply, _payload, done) => done();
    replace(['wire', 'request', 'body-arrival.js'], { ...arrival, receiveBody });
  },

  /** Responses are not closed with their connection. */
  responses_kept() {
    wrap(connectionQueue(), 'end', () => () => undefined);
  },

  /** Every request is begun when it has arrived, as Node does. */
  no_queue() {
    wrap(
      connectionQueue(),
      'add',
      () =>
        function (request, response) {
          this.start(request, response);
        },
    );
  },

  /** Connections with waiting requests are read on, without a limit. */
  queue_without_limit() {
    limitWaiting({ maxWaiting: Infinity, maxWaitingInAll: Infinity }, (socket) => {
      socket.pause = () => socket;
    });
  },

  /** All that one read brings is parsed in one go. */
  parsed_at_once() {
    replace(['runtime', 'paced-parser.js'], { paceParsing: () => undefined });
  },

  /** So too, and connections are looked at one by one. */
  heads_unbounded() {
    replace(['runtime', 'paced-parser.js'], { paceParsing: () => undefined });
    limitWaiting({ maxWaitingInAll: Infinity });
  },

  /** Each request is kept for ever, with 64 KB. */
  requests_kept() {
    const kept = [];
    subscribe('http.server.request.start', ({ request }) => {
      kept.push(request, Buffer.alloc(65_536, 1));
    });
  },

  /** A request without a valid key is refused only when its body has arrived, which is kept until then. */
  body_before_key() {
    wrap(
      load('accounts', 'authentication.js').Authentication.prototype,
      'authenticate',
      (original) =>
        async function (request) {
          try {
            await original.call(this, request);
          } catch (error) {
            if (request.raw.readable) await arrived(request.raw);
            throw error;
          }
        },
    );
  },

  /** A key that was not found is looked up again each time. */
  unknown_keys_forgotten() {
    wrap(
      load('accounts', 'api-key-lookup.js').ApiKeyLookup.prototype,
      'cache',
      (original) =>
        function (hash, principal, start) {
          if (principal) original.call(this, hash, principal, start);
        },
    );
  },

  /** A body that is refused may take its time. */
  bodies_without_an_end() {
    const arrival = load('wire', 'request', 'body-arrival.js');
    replace(['wire', 'request', 'body-arrival.js'], {
      ...arrival,
      discardUnreadBody: () => undefined,
    });
  },

  /** The connection of a refused body is closed with its response. */
  closed_at_once() {
    const arrival = load('wire', 'request', 'body-arrival.js');
    const discardUnreadBody = ({ raw: request }, { raw: response }) => {
      if (request.complete !== false) return;
      response.shouldKeepAlive = false;
      response.once('finish', () => request.socket.destroy());
    };
    replace(['wire', 'request', 'body-arrival.js'], { ...arrival, discardUnreadBody });
  },

  /** Node keeps 1,000 headers and drops the others, without a limit. */
  headers_dropped() {
    subscribe('fastify.initialization', ({ fastify }) => {
      fastify.server.maxHeadersCount = null;
    });
    subscribe('http.server.request.start', ({ request }) => {
      void request.headers; // what was dropped is dropped
      request.rawHeaders = request.rawHeaders.slice(0, 100);
    });
  },

  keys_not_searched() {
    const { hasCardNumber: _, ...others } = load('idempotency', 'card-numbers', 'card-number.js');
    replace(['idempotency', 'card-numbers', 'card-number.js'], {
      ...others,
      hasCardNumber: () => false,
    });
  },

  /** Whose connection broke is not looked at. */
  client_taken_for_database() {
    wrap(
      load('wire', 'errors', 'error.filter.js').WireErrorFilter.prototype,
      'toApiError',
      (original) =>
        function (error, request) {
          const raw = { errored: null, complete: false };
          return original.call(this, error, Object.create(request, { raw: { value: raw } }));
        },
    );
  },

  any_return_url() {
    const { IsText } = load('wire', 'params', 'params.js');
    const IsReturnUrl = () => IsText({ max: 2048 });
    replace(['wire', 'params', 'return-url.param.js'], { IsReturnUrl });
  },
};

const { WEAKNESS } = process.env;
if (program.endsWith('main.js') && WEAKNESS) {
  const weaken = weaknesses[WEAKNESS];
  if (!weaken) throw new Error(`weaken: there is no weakness ${WEAKNESS}`);
  require('reflect-metadata');
  weaken();
}
