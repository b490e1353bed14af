/** A process that is asked to stop finishes what it has begun, and waits for nothing else. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freshDatabase } from '../support/database';
import { eventually } from '../support/eventually';
import { type HeldCharges, holdCharges } from '../support/held-charges';
import { PATIENT } from '../support/patience';
import { type RunningServer, startServer } from '../support/server';
import { api, cleanUpAfterwards, home, isAlive, postmasterPid, start } from './programs.fixture';

cleanUpAfterwards();

describe('being asked to stop', () => {
  /** Starts a payment that stays with the acquirer, and comes back once it is there. */
  async function paymentInFlight(server: RunningServer, charges: HeldCharges) {
    const sent = api(server, '/v1/payment_intents', {
      method: 'POST',
      headers: { 'idempotency-key': 'in-flight' },
      body: new URLSearchParams({
        amount: '2000',
        currency: 'usd',
        payment_method: 'pm_card_visa',
        confirm: 'true',
      }),
    });
    await charges.arrived();
    return { sent, charges };
  }

  /** Once the server has received the signal to stop. */
  async function expectFinished(
    { port }: RunningServer,
    payment: Awaited<ReturnType<typeof paymentInFlight>>,
  ): Promise<void> {
    await eventually('the port is closed', () => isRefused(port));
    await payment.charges.release();
    const res = await payment.sent;
    expect(res.status).toBe(200);
    expect(res.headers.get('connection')).toBe('close');
    expect(await res.json()).toMatchObject({ status: 'succeeded' });
  }

  const isRefused = async (port: number): Promise<boolean> => {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return false;
    } catch {
      return true;
    } finally {
      socket.destroy();
    }
  };

  const patient = { ...PATIENT, DRAIN_TIMEOUT_MS: '300000' };

  it('Ctrl-C in a terminal lets a payment in flight finish, then PostgreSQL stops', async () => {
    const drained = join(home, 'drained');
    const server = await start({ DATA_DIR: drained, ...patient });
    const postmaster = postmasterPid(drained);
    const password = readFileSync(join(drained, 'postgres', 'paidonce.password'), 'utf8');
    const port = readFileSync(join(drained, 'postgres.port'), 'utf8');
    const url = `postgres://postgres:${password}@127.0.0.1:${port}/paidonce`;
    const payment = await paymentInFlight(server, await holdCharges(url));
    // A terminal signals the whole group; PostgreSQL must not be in it.
    const group = spawnSync('ps', ['-o', 'pgid=', '-p', String(postmaster)], { encoding: 'utf8' });
    expect(Number(group.stdout)).toBe(postmaster);
    process.kill(-(server.process.pid ?? 0), 'SIGINT');
    await expectFinished(server, payment);
    expect(await server.program.ended).toEqual({ code: 0, signal: null });
    expect(isAlive(postmaster)).toBe(false);
  });

  it('SIGTERM lets a payment in flight finish', async () => {
    const database = await freshDatabase();
    const server = await startServer({ databaseUrl: database.url, env: patient });
    const payment = await paymentInFlight(server, await holdCharges(database.url));
    server.process.kill('SIGTERM');
    await expectFinished(server, payment);
    expect(await server.program.ended).toEqual({ code: 0, signal: null });
    await database.drop();
  });

  it('does not wait for connections that are kept alive without a request', async () => {
    const database = await freshDatabase();
    const server = await startServer({
      databaseUrl: database.url,
      env: { DRAIN_TIMEOUT_MS: '60000' },
    });
    const agent = new Agent({ keepAlive: true });
    const [res] = (await once(get(`${server.url}/health`, { agent }), 'response')) as [
      IncomingMessage,
    ];
    res.resume();
    await once(res, 'end');
    expect(Object.values(agent.freeSockets).flat()).toHaveLength(1);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    agent.destroy();
    await database.drop();
  });

  it('cuts off a request that does not finish within DRAIN_TIMEOUT_MS', async () => {
    const database = await freshDatabase();
    const server = await startServer({
      databaseUrl: database.url,
      env: { DRAIN_TIMEOUT_MS: '300' },
    });
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => undefined);
    const request = ['POST /v1/customers HTTP/1.1', 'Host: x', 'Content-Length: 100'];
    // The health check goes first on the same connection: its response shows that both were read.
    socket.write(`GET /health HTTP/1.1\r\nHost: x\r\n\r\n${request.join('\r\n')}\r\n\r\nemail=`);
    await once(socket, 'data');
    const closed = once(socket, 'close');
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    await closed;
    await database.drop();
  });
});
