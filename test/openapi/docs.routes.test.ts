/** The files of the page, as they go over the wire. */
import { gunzipSync } from 'node:zlib';
import { type RunningApp, startApp } from '../support/app';

let shop: RunningApp;
beforeAll(async () => {
  shop = await startApp();
});
afterAll(() => shop.close());

const FILES = ['/openapi.json', '/docs', '/docs/', '/docs/swagger-ui-bundle.js'];
const get = (url: string, headers: Record<string, string> = {}) =>
  shop.app.inject({ method: 'GET', url, headers });

it.each(FILES)('%s comes compressed to who takes that, and is the same', async (url) => {
  const plain = await get(url);
  const compressed = await get(url, { 'accept-encoding': 'br;q=1, gzip;q=0.8' });
  expect(plain.headers['content-encoding']).toBeUndefined();
  expect(compressed.headers['content-encoding']).toBe('gzip');
  expect(gunzipSync(compressed.rawPayload).equals(plain.rawPayload)).toBe(true);
  expect(compressed.headers.vary).toBe('accept-encoding');
});

it.each(FILES)('%s is not sent again to who has it', async (url) => {
  for (const encoding of ['gzip', 'identity']) {
    const headers = { 'accept-encoding': encoding };
    const etag = String((await get(url, headers)).headers.etag);
    for (const tag of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const again = await get(url, { ...headers, 'if-none-match': tag });
      expect([again.statusCode, again.payload]).toEqual([304, '']);
    }
    const other = await get(url, { ...headers, 'if-none-match': '"other"' });
    expect(other.statusCode).toBe(200);
  }
});

it('each encoding has a tag of its own', async () => {
  const tags = [await get('/docs'), await get('/docs', { 'accept-encoding': 'gzip' })];
  expect(new Set(tags.map(({ headers }) => headers.etag)).size).toBe(2);
});

it.each([undefined, '', 'br', 'identity', 'gzip;q=0', 'gzip; q=0.000', 'x-gzip'])(
  'is not compressed for %j',
  async (accepted) => {
    const headers: Record<string, string> =
      accepted === undefined ? {} : { 'accept-encoding': accepted };
    expect((await get('/docs', headers)).headers['content-encoding']).toBeUndefined();
  },
);
