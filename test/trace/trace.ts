/**
 * `npm run trace -- [--list] [--json]`: counts the files that a payment and its replay from memory run
 * through, to show how hard a request is to follow in the source.
 *
 * Every function of src counts once, at its first execution between the first byte of the request and
 * the end of its response. The server is warm: it has taken payments, the client's connection is open,
 * and the API key is remembered. Not counted: the start, jobs, recovery, and what follows the response.
 * No file is left out.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { Agent, type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Program } from '../support/server';
import type { TracedFunction } from './instrument';
import { jsonOf, reportOf } from './report';
import type { ServerMessage } from './traced-server';

const ROOT = join(__dirname, '..', '..');
const RUNNER = join(ROOT, 'test', 'support', 'run.cjs');

/** Payments before the trace, each with a replay. */
const WARM_UPS = 20;
/** How long a server remembers an API key, ms: no traced request looks it up. */
const KEY_REMEMBERED_MS = 1_000;
/** How often a trace that took longer is repeated. */
const MAX_ATTEMPTS = 20;
const BODY = 'amount=2000&currency=usd&payment_method=pm_card_visa&confirm=true';

async function main(): Promise<void> {
  const { list, json } = parseArgs({
    options: {
      list: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  }).values;
  const directory = mkdtempSync(join(tmpdir(), 'paidonce-trace-'));
  chmodSync(directory, 0o755); // PostgreSQL may run as another user
  const program = startServer(join(directory, 'data'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void program.stop()); // `main` then fails and cleans up
  }
  try {
    const [welcome] = await program.says(/paidonce listens on (\S+)\n[^]*\n$/);
    const url = /listens on (\S+)/.exec(welcome)![1]!;
    const client = new Client(url, /sk_test_\w+/.exec(welcome)![0]);
    for (let at = 0; at < WARM_UPS; at += 1) {
      await client.pay(`warm-up-${at}`, false);
      await client.pay(`warm-up-${at}`, true);
    }
    const trace = new Tracing(program, () => client.pay('warm-up-0', true));
    let key = '';
    const payment = await trace.of((attempt) => client.pay((key = `traced-${attempt}`), false));
    const replay = await trace.of(() => client.pay(key, true));
    const requests = [
      { name: 'payment', maxReturns: 70, steps: payment },
      { name: 'replay', maxReturns: 14, steps: replay },
    ];
    process.stdout.write(json ? jsonOf(requests) : reportOf(requests, list));
  } finally {
    await program.stop();
    rmSync(directory, { recursive: true });
  }
}

function startServer(dataDir: string): Program {
  const { PATH, HOME } = process.env;
  return new Program(
    fork(RUNNER, [join(__dirname, 'traced-server.ts')], {
      cwd: ROOT,
      env: {
        PATH,
        HOME,
        DATA_DIR: dataDir,
        PORT: '0',
        LOG_LEVEL: 'error',
        JOBS: 'off',
        IDEMPOTENCY_RECOVERY_INTERVAL_MS: '0',
      },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    }),
  );
}

/** Sends payments one after another on one connection. */
class Client {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(
    private readonly url: string,
    private readonly apiKey: string,
  ) {}

  /** @throws Error where the response is not a payment's, or is a replay and should not be (or vice versa) */
  async pay(key: string, replayed: boolean): Promise<void> {
    // Head and body in one packet: their arrival decides which functions run.
    const sent = request(`${this.url}/v1/payment_intents`, {
      agent: this.#agent,
      method: 'POST',
      headers: {
        authorization: `Bearer ${this.apiKey}`,
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': BODY.length,
        'idempotency-key': key,
      },
    }).end(BODY);
    const [res] = (await once(sent, 'response')) as [IncomingMessage];
    const body = await text(res);
    const isReplay = res.headers['idempotent-replayed'] === 'true';
    if (res.statusCode !== 200 || isReplay !== replayed) {
      throw new Error(`The server sent ${res.statusCode} (replayed: ${isReplay}): ${body}`);
    }
  }
}

/** Traces single requests on a warm server. */
class Tracing {
  /** @param refreshKey sends a request that is not traced, so that the server looks up the API key */
  constructor(
    private readonly program: Program,
    private readonly refreshKey: () => Promise<void>,
  ) {}

  /**
   * @param send sends the request; called again with the next number when the machine was too slow
   * @returns the functions that the request ran
   * @throws Error where the machine stays too slow
   */
  async of(send: (attempt: number) => Promise<void>): Promise<readonly TracedFunction[]> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      await pause(KEY_REMEMBERED_MS); // so that the next request looks the key up
      const startMs = performance.now();
      await this.refreshKey();
      this.program.process.send('trace');
      await this.nextMessage();
      const [message] = await Promise.all([this.nextMessage(), send(attempt)]);
      const isRemembered = performance.now() - startMs < KEY_REMEMBERED_MS;
      if (isRemembered && message !== 'ready') return message.steps;
    }
    throw new Error(
      'This machine is too busy: no request was over before its API key was forgotten.',
    );
  }

  private async nextMessage(): Promise<ServerMessage> {
    const ended = this.program.ended.then(() => {
      throw new Error(`The server has ended: ${this.program.stderr}`);
    });
    const [message] = (await Promise.race([once(this.program.process, 'message'), ended])) as [
      ServerMessage,
    ];
    return message;
  }
}

main().catch((error: Error) => {
  process.stderr.write(`${error.stack ?? error.message}\n`);
  process.exitCode = 1;
});
