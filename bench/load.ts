/** The load: a process of its own that sends what it is told over IPC. */
import { randomBytes } from 'node:crypto';
import autocannon from 'autocannon';
import { keyNamed } from './keys';

/** One stretch of load. */
export interface Stretch {
  readonly url: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A new key with each request, this one with all, numbered ones, or none. */
  readonly key?: 'new' | { readonly one: string } | Numbered;
  readonly connections: number;
  /** How long, seconds; or how many requests. */
  readonly seconds?: number;
  readonly amount?: number;
}

/** Keys by their number: one after the other, or, where there is an end, any of those before it. */
export interface Numbered {
  readonly from: number;
  readonly to?: number;
}

/** What came of it. */
export interface Measured {
  /** Responses per second, over the whole stretch. */
  readonly rate: number;
  /** Latency, ms. */
  readonly p50: number;
  readonly p99: number;
  /** Responses by status class; connections that failed. */
  readonly ok: number;
  readonly refused: number;
  readonly failed: number;
}

async function run(stretch: Stretch): Promise<Measured> {
  const { url, body, key, connections, seconds, amount } = stretch;
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    ...stretch.headers,
  };
  if (typeof key === 'object' && 'one' in key) headers['idempotency-key'] = key.one;
  const nextKey = keysOf(key);
  const result = await autocannon({
    url,
    connections,
    ...(amount === undefined ? { duration: seconds } : { amount }),
    method: 'POST',
    body,
    headers,
    ...(nextKey && {
      requests: [
        {
          setupRequest: (request) => {
            request.headers = { ...headers, 'idempotency-key': nextKey() };
            return request;
          },
        },
      ],
    }),
  });
  const { latency, errors, timeouts } = result;
  const ok = result['2xx'];
  return {
    rate: ok / result.duration,
    p50: latency.p50,
    p99: latency.p99,
    ok,
    refused: result.non2xx,
    failed: errors + timeouts,
  };
}

/** Where each request has a key of its own. */
function keysOf(key: Stretch['key']): (() => string) | undefined {
  let made = 0;
  if (key === 'new') {
    const prefix = randomBytes(9).toString('hex');
    return () => `${prefix}-${(made += 1)}`;
  }
  if (typeof key !== 'object' || 'one' in key) return undefined;
  const { from, to } = key;
  if (to === undefined) return () => keyNamed(from + (made += 1) - 1);
  return () => keyNamed(from + Math.floor(Math.random() * (to - from)));
}

if (process.send) {
  process.on('message', (stretch) => {
    run(stretch as Stretch).then(
      (measured) => process.send?.(measured),
      (error: Error) => {
        process.stderr.write(`${error.stack ?? error.message}\n`);
        process.exit(1);
      },
    );
  });
}
