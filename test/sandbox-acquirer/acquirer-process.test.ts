/** `npm run acquirer`: what a kill -9 leaves behind, its start and its stop. */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type HttpGateway } from '../../src/gateway';
import { type AcquirerLedgerLine } from '../../src/sandbox-acquirer';
import { eventually } from '../support/eventually';
import { Program, startAcquirer, stopAll } from '../support/server';
import { approved, charge, gatewayTo as gatewayWith, patient } from '../gateway/gateways.fixture';
import { ledgerLines, temporaryDirectory } from './acquirer-ledger.fixture';

let directory: ReturnType<typeof temporaryDirectory>;
let ledger: string;
let gateways: HttpGateway[] = [];

beforeEach(() => {
  directory = temporaryDirectory();
  ledger = join(directory.path, 'ledger');
});

afterEach(async () => {
  for (const gateway of gateways) gateway.onApplicationShutdown();
  gateways = [];
  await stopAll();
  directory.remove();
});

function gatewayTo(url: string): HttpGateway {
  const gateway = gatewayWith(url);
  gateways.push(gateway);
  return gateway;
}

const lines = () => ledgerLines(ledger);

describe('a kill -9', () => {
  test('R12 under load, four times: no outcome is lost, nothing is done twice', async () => {
    const outcomes = new Map<string, string>();
    const load = new AbortController();
    let acquirer = await startAcquirer(ledger);
    const port = new URL(acquirer.url).port;
    const gateway = gatewayTo(acquirer.url);
    const order = charge();

    /** Sends one key until its outcome is known, and twice more, as R12 wants it. */
    const sendUntilKnown = async (key: string) => {
      for (let left = 3; left > 0 && !load.signal.aborted;) {
        const outcome = await gateway.charge(key, order, patient());
        if (outcome.outcome === 'unknown') {
          await pause(20);
          continue;
        }
        left -= 1;
        const text = JSON.stringify(outcome);
        expect(text).toBe(outcomes.get(key) ?? text);
        outcomes.set(key, text);
      }
    };
    let key = 0;
    const clients = Array.from({ length: 16 }, async () => {
      while (!load.signal.aborted) await sendUntilKnown(`key ${++key}`);
    });
    for (let kills = 0; kills < 4; kills += 1) {
      const enough = outcomes.size + 40 + kills * 7;
      await eventually('outcomes', () => outcomes.size >= enough);
      await acquirer.program.kill9();
      acquirer = await startAcquirer(ledger, { ACQUIRER_PORT: port });
    }
    load.abort();
    await Promise.all(clients);
    await acquirer.program.kill9();

    const entries = new Map<string, AcquirerLedgerLine[]>();
    for (const line of lines()) {
      entries.set(line.remoteKey, [...(entries.get(line.remoteKey) ?? []), line]);
    }
    expect([...entries.values()].filter(({ length }) => length > 1)).toEqual([]);
    for (const [remoteKey, text] of outcomes) {
      const [line] = entries.get(remoteKey) ?? [];
      expect({ outcome: line?.outcome, reference: line?.reference }).toEqual(JSON.parse(text));
    }
  });

  test('while the work is under way: unknown, and the next start does it once', async () => {
    const order = charge({ metadata: { acquirer_latency_ms: '60000' } });
    const { url, program } = await startAcquirer(ledger);
    const gateway = gatewayTo(url);
    const waiting = gateway.charge('slow', order, patient());
    await approved(gateway.charge('fast', charge(), patient()));
    await program.kill9();
    expect(await waiting).toEqual({ outcome: 'unknown' });
    const { url: next } = await startAcquirer(ledger);
    await approved(gatewayTo(next).charge('slow', { ...order, metadata: {} }, patient()));
    expect(lines().map(({ remoteKey }) => remoteKey)).toEqual(['fast', 'slow']);
  });

  test('a fault by metadata does not come back with the next start', async () => {
    const order = charge({ metadata: { acquirer_fault: 'lose_reply' } });
    const { url, program } = await startAcquirer(ledger);
    expect(await gatewayTo(url).charge('key', order, patient())).toEqual({ outcome: 'unknown' });
    await program.kill9();
    const { url: next } = await startAcquirer(ledger);
    await approved(gatewayTo(next).charge('key', order, patient()));
  });
});

describe('start and stop', () => {
  test('its faults come from its settings', async () => {
    const { url } = await startAcquirer(ledger, {
      ACQUIRER_LATENCY_MS: '200',
      ACQUIRER_LATENCY_MAX_MS: '250',
      ACQUIRER_LOSE_REPLY_RATE: '1',
    });
    const begun = performance.now();
    const outcome = await gatewayTo(url).charge('key', charge(), patient());
    expect(outcome).toEqual({ outcome: 'unknown' });
    expect(performance.now() - begun).toBeGreaterThanOrEqual(199);
    expect(lines()).toHaveLength(1);
  });

  test('SIGTERM lets a call that is under way finish, then ends with 0', async () => {
    const { url, program } = await startAcquirer(ledger);
    const order = charge({ metadata: { acquirer_latency_ms: '600' } });
    const call = gatewayTo(url).charge('key', order, patient());
    // Written down, and still on its way back.
    await eventually('the work', () => lines().length === 1);
    program.process.kill('SIGTERM');
    await approved(call);
    expect(await program.ended).toEqual({ code: 0, signal: null });
  });

  test.each([
    [
      { ACQUIRER_PORT: 'x', ACQUIRER_LOSE_REPLY_RATE: '2%' },
      'ACQUIRER_PORT must be a whole number from 0 to 65535, but is "x".\n' +
        'ACQUIRER_LOSE_REPLY_RATE must be a number from 0 to 1, but is "2%".',
    ],
    [
      { ACQUIRER_LOSE_REPLY_RATE: '0.5', ACQUIRER_ERROR_AFTER_RATE: '0.75' },
      'ACQUIRER_LOSE_REPLY_RATE, ACQUIRER_ERROR_BEFORE_RATE and ACQUIRER_ERROR_AFTER_RATE must be 1 together at most, but are 1.25.',
    ],
    [{ ACQUIRER_HOST: '192.0.2.1' }, 'ACQUIRER_HOST 192.0.2.1 is not an address of this machine.'],
    [
      { ACQUIRER_LEDGER: '/dev/null/ledger' },
      "The ledger /dev/null/ledger cannot be opened: EEXIST: file already exists, mkdir '/dev/null'.",
    ],
  ])('%j stops the start with a sentence', async (env, sentence) => {
    const program = Program.start('commands/acquirer', {
      env: { ACQUIRER_PORT: '0', ACQUIRER_LEDGER: ledger, ...env },
    });
    expect(await program.ended).toMatchObject({ code: 1 });
    expect(program.stderr).toBe(`${sentence}\n`);
  });

  test('two acquirers share neither a ledger nor a port', async () => {
    const { port } = new URL((await startAcquirer(ledger)).url);
    const second = Program.start('commands/acquirer', {
      env: { ACQUIRER_PORT: '0', ACQUIRER_LEDGER: ledger },
    });
    expect(await second.ended).toMatchObject({ code: 1 });
    expect(second.stderr).toBe(`The ledger ${ledger} is open in another acquirer: stop it.\n`);
    const third = Program.start('commands/acquirer', {
      env: { ACQUIRER_PORT: port, ACQUIRER_LEDGER: `${ledger}-2` },
    });
    expect(await third.ended).toMatchObject({ code: 1 });
    expect(third.stderr).toBe(
      `Port ${port} on 127.0.0.1 is taken by another program: stop that one, or set ACQUIRER_PORT to another port (0 takes a free one).\n`,
    );
  });
});
