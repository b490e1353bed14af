/** Responses longer than what the client holds are handed on while they come. */
import { setImmediate as turn } from 'node:timers/promises';
import { eventually } from '../support/eventually';
import { responds, floods, payment } from './faulty-server';
import {
  HOUR_MS,
  server,
  url,
  client,
  timers,
  patient,
  startAServerForEachTest,
  holdTheTimersOfEachTest,
} from './retries.fixture';

startAServerForEachTest();
holdTheTimersOfEachTest();

describe('long responses', () => {
  const megabytes = (count: number) => 'x'.repeat(count * 1_048_576);

  it('are whole, whether they are held or handed on', async () => {
    for (const body of [megabytes(0.5), megabytes(3)]) {
      server.plan(responds(200, {}, body));
      const response = await client()(url);
      expect(response.url).toBe(url);
      expect(await response.text()).toBe(body);
    }
  });

  it('are handed on while they come, past the time-out, until the caller aborts', async () => {
    const event = 'data: 1\n\n';
    let more = (): unknown => undefined;
    server.plan(({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(event);
      more = () => response.write(event);
    });
    const abort = new AbortController();
    const response = await patient()(url, { signal: abort.signal });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const decode = async () => new TextDecoder().decode((await reader.read()).value);
    expect(await decode()).toBe(event);
    timers.elapse();
    more();
    expect(await decode()).toBe(event);
    abort.abort(new Error('enough'));
    await expect(reader.read()).rejects.toThrow('enough');
    await eventually('the connection is closed', () => server.seen[0]?.hungUp === true);
    expect(server.seen).toHaveLength(1);
  });

  it('are hung up on when the caller cancels them', async () => {
    server.plan(floods(200));
    const response = await client()(url);
    await response.body?.cancel();
    await eventually('the connection is closed', () => server.seen[0]?.hungUp === true);
  });

  it('may break off while the next attempt is waited for', async () => {
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    let breakOff = (): unknown => undefined;
    server.plan(({ response }) => {
      response.writeHead(503).write(`${megabytes(1)}x`);
      breakOff = () => response.socket?.destroy();
    });
    const pauses = { baseDelayMs: HOUR_MS, maxDelayMs: HOUR_MS, jitter: 'none' } as const;
    const call = client({ ...pauses, deadlineMs: 24 * HOUR_MS })(url, payment);
    await eventually('the next attempt is waited for', () => timers.waiting === 1);
    breakOff();
    await eventually('it has broken off', () => server.seen[0]?.hungUp === true);
    timers.elapse();
    expect((await call).status).toBe(200);
    await turn();
    expect(unhandled).not.toHaveBeenCalled();
    process.off('unhandledRejection', unhandled);
  });

  it('are hung up on when another attempt has brought a better one', async () => {
    server.plan(floods(503));
    expect((await client()(url, payment)).status).toBe(200);
    await eventually('the connection is closed', () => server.seen[0]?.hungUp === true);
  });
});
