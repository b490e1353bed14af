/** The OpenAPI document, the page that shows it, and the files made from it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApplication } from '../../src/application/application';
import { loadSettings } from '../../src/runtime/settings';
import { startApp, type RunningApp } from '../support/app';
import { freshDatabase } from '../support/database';
import { type Document, operationsOf } from './checked-fetch';

const ROOT = join(__dirname, '..', '..');
const COMMITTED = ['docs/openapi.json', 'docs/ERRORS.md', 'src/client/openapi.types.ts'];

let shop: RunningApp;
beforeAll(async () => {
  shop = await startApp();
});
afterAll(() => shop.close());

const get = (path: string) => fetch(shop.url + path);

describe('GET /openapi.json', () => {
  it('needs no API key, and is the document that is committed', async () => {
    const response = await get('/openapi.json');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(response.headers.get('request-id')).toMatch(/^req_/);
    const committed = readFileSync(join(ROOT, 'docs/openapi.json'), 'utf8');
    expect(await response.json()).toEqual(JSON.parse(committed));
  });

  it('has every route of the application, and no other', async () => {
    const database = await freshDatabase();
    const settings = loadSettings({ DATABASE_URL: database.url, JOBS: 'off', LOG_LEVEL: 'error' });
    const app = await createApplication(settings);
    const routes = new Set<string>();
    app
      .getHttpAdapter()
      .getInstance()
      .addHook('onRoute', ({ method, url }) => {
        for (const name of [method].flat()) {
          routes.add(`${name.toLowerCase()} ${url.replaceAll(/:(\w+)/g, '{$1}')}`);
        }
      });
    await app.init();
    await app.close();
    await database.drop();
    const document = (await (await get('/openapi.json')).json()) as Document;
    const served = [...routes].filter((route) => !/^(head|options) /.test(route));
    expect(served.length).toBeGreaterThan(25);
    expect([...operationsOf(document).keys()].toSorted()).toEqual(served.toSorted());
  });

  it('names each operation once, says what it does, and asks for a key on /v1 alone', async () => {
    const document = (await (await get('/openapi.json')).json()) as Document;
    const operations = [...operationsOf(document)];
    const ids = operations.map(([, { operationId }]) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toContain('paymentIntents.create');
    for (const [route, operation] of operations) {
      expect(operation).toMatchObject({ summary: expect.stringMatching(/^[A-Z].{10}/) });
      expect([route, operation.security]).toEqual([
        route,
        route.includes(' /v1/') ? undefined : [],
      ]);
    }
  });

  it('holds no secret and no address', async () => {
    const text = await (await get('/openapi.json')).text();
    expect(text).not.toContain(shop.apiKey);
    expect(text).not.toContain('127.0.0.1');
    expect(JSON.parse(text)).toMatchObject({ servers: [{ url: '/' }] });
  });

  it('is refused to other methods like any URL', async () => {
    const response = await fetch(`${shop.url}/openapi.json`, { method: 'POST' });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({
      error: { message: expect.stringContaining('This URL takes GET.') as string },
    });
  });
});

describe('GET /docs', () => {
  it('needs no API key, and loads nothing from anywhere else', async () => {
    for (const path of ['/docs', '/docs/']) {
      const response = await get(path);
      expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
      const page = await response.text();
      expect(page.replaceAll(/^\s*\/\/ .*$/gm, '')).not.toContain('//');
      const assets = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, asset = '']) => asset);
      expect(assets).toHaveLength(3);
      for (const asset of assets) {
        const found = await get(asset);
        expect(found.status).toBe(200);
        expect((await found.arrayBuffer()).byteLength).toBeGreaterThan(500);
      }
    }
  });

  it.each(['/docs/swagger-ui.js.map', '/docs/..%2f..%2fpackage.json', '/docs/package.json'])(
    'serves nothing else: %s',
    async (path) => {
      const response = await get(path);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error' } });
    },
  );
});

it('DOCS=off serves neither, and the rest as ever', async () => {
  const quiet = await startApp({ env: { DOCS: 'off' } });
  for (const path of ['/openapi.json', '/docs', '/docs/swagger-ui.css']) {
    expect((await fetch(quiet.url + path)).status).toBe(404);
  }
  expect((await quiet.stripe().customers.create({})).object).toBe('customer');
  await quiet.close();
});

describe('npm run openapi', () => {
  const generate = (directory: string) =>
    spawnSync(process.execPath, ['test/support/run.cjs', 'test/openapi/generate.ts', directory], {
      cwd: ROOT,
      encoding: 'utf8',
    });

  it('would change nothing that is committed', () => {
    const directory = mkdtempSync(join(tmpdir(), 'paidonce-openapi-'));
    expect(generate(directory)).toMatchObject({ status: 0, stderr: '' });
    for (const name of COMMITTED) {
      const made = readFileSync(join(directory, name));
      expect([name, made.equals(readFileSync(join(ROOT, name)))]).toEqual([name, true]);
    }
    rmSync(directory, { recursive: true });
  }, 300_000);

  it('makes types of no document that is not OpenAPI', () => {
    const directory = mkdtempSync(join(tmpdir(), 'paidonce-openapi-'));
    const document = JSON.parse(readFileSync(join(ROOT, 'docs/openapi.json'), 'utf8')) as Document;
    const broken = join(directory, 'broken.json');
    const [path = ''] = Object.keys(document.paths);
    const paths = { ...document.paths, [path]: { get: { responses: 'none' } } };
    writeFileSync(broken, JSON.stringify({ ...document, paths }));
    const cli = join(ROOT, 'node_modules', 'openapi-typescript', 'bin', 'cli.js');
    const { status, stderr } = spawnSync(process.execPath, [cli, broken], { encoding: 'utf8' });
    expect(status).not.toBe(0);
    expect(stderr).toContain('responses');
    rmSync(directory, { recursive: true });
  }, 300_000);
});
