/** Requests that are refused before they reach Fastify, as bytes on a socket. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { slowThings, thingsApp } from './things-app.fixture';

const FORM = 'Content-Type: application/x-www-form-urlencoded\r\n';

describe('bytes on a socket', () => {
  let app: NestFastifyApplication;
  let port: number;

  beforeAll(async () => {
    app = await thingsApp();
    await app.listen(0, '127.0.0.1');
    ({ port } = app.getHttpServer().address() as AddressInfo);
  });
  afterAll(() => app.close());

  const open = (bytes: string) => {
    const socket = connect(port, '127.0.0.1');
    socket.write(bytes);
    return { socket, received: text(socket) };
  };

  it.each([
    ['that are not HTTP', 'hello\r\n\r\n', 400, 'not an HTTP/1.1 request'],
    [
      'with headers past the limit',
      `GET /v1/things HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`,
      431,
      'headers of this request are too large',
    ],
    [
      'without Host',
      'GET /v1/things HTTP/1.1\r\nConnection: close\r\n\r\n',
      400,
      'has no Host header',
    ],
    [
      'with an expectation that cannot be met',
      'GET /v1/things HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nConnection: close\r\n\r\n',
      417,
      'Expect: tea cannot be met',
    ],
    [
      'with two lengths of one body',
      `POST /v1/things HTTP/1.1\r\nHost: x\r\n${FORM}Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n`,
      400,
      'not an HTTP/1.1 request',
    ],
  ])('%s get an error in the envelope', async (_, bytes, status, words) => {
    const [head = '', body = ''] = (await open(bytes).received).split('\r\n\r\n');
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(head).toMatch(/^request-id: req_[0-9A-Za-z]{24}\r?$/im);
    expect(head).toMatch(/^stripe-version: /im);
    const { error } = JSON.parse(body) as { error: { type: string; message: string } };
    expect(error.type).toBe('invalid_request_error');
    expect(error.message).toContain(words);
  });

  it('of HTTP/1.0 need no Host', async () => {
    expect(await open('GET /v1/things HTTP/1.0\r\n\r\n').received).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('behind a request that is being worked on never get a response that reads as its own', async () => {
    const arrived = once(slowThings, 'arrived') as Promise<[finish: () => void]>;
    const { socket, received } = open(
      `POST /v1/slow HTTP/1.1\r\nHost: x\r\n${FORM}Content-Length: 3\r\n\r\na=1`,
    );
    const [finish] = await arrived;
    socket.write('&b=2\r\n\r\n');
    expect(await received.catch(() => '')).toBe('');
    finish();
  });
});
