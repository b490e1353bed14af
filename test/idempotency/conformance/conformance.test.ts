/** The conformance kit passes what keeps the protocol, in each profile, and names what a naive server breaks. */
import {
  BadRequestException,
  Body,
  Controller,
  Get,
  NotFoundException,
  Post,
  type PipeTransform,
} from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Repository } from 'typeorm';
import { Idempotent } from '../../../src/idempotency';
import {
  type CheckConfigError,
  readCheckConfig,
} from '../../../src/idempotency/conformance/probe/check-config';
import {
  type ConformanceReport,
  readServerUrl,
  runChecks,
} from '../../../src/idempotency/conformance/conformance-run';
import type { ProfileName } from '../../../src/idempotency/conformance/probe/profiles';
import { type Adapter, openShop, Order } from '../shop.fixture';
import { startNaiveServer, type Worse } from './naive-server';
import { ownServerConfig, SLOW_SANDBOX_MS } from './own-server-config';
import { startApp } from '../../support/app';

const ORDERS = {
  path: '/orders',
  body: { item: 'tea' },
  otherBody: { item: 'coffee' },
  headers: { authorization: 'a' },
  effects: { count: { path: '/orders', at: '' } },
  keyRequired: true,
  slow: { body: { item: 'slow' } },
  refused: { body: { item: 'sold out' } },
  invalid: { body: { item: 7 } },
  otherAccount: { authorization: 'b' },
  timeoutMs: 60_000,
};

function check(
  url: string,
  profile: ProfileName,
  config: object = ORDERS,
): Promise<ConformanceReport> {
  return runChecks(new URL(url), profile, readCheckConfig(JSON.stringify(config)));
}

const namesOf = ({ checks }: ConformanceReport, result: string) =>
  checks.filter((each) => each.result === result).map(({ name }) => name);

/** The names and sentences of what did not pass. */
const blemishesOf = ({ checks }: ConformanceReport) =>
  checks.filter(({ result }) => result !== 'passed').map(({ name, saw }) => `${name}: ${saw}`);

const ITEM_IS_TEXT: PipeTransform = {
  transform: (body: { item?: unknown }) => {
    if (typeof body.item !== 'string') throw new BadRequestException('no item');
    return body;
  },
};

const SLOW_WORK_MS = 2_000;

@Controller('checked')
class CheckedController {
  constructor(@InjectRepository(Order) private readonly orders: Repository<Order>) {}

  @Get()
  list() {
    return this.orders.find();
  }

  @Post()
  @Idempotent({ required: true })
  async place(@Body(ITEM_IS_TEXT) { item }: { item: string }) {
    if (item === 'slow') await delay(SLOW_WORK_MS);
    if (item === 'sold out') throw new NotFoundException('sold out');
    return this.orders.save({ account: item, amount: 1 });
  }
}

describe.each<Adapter>(['fastify', 'express'])('a shop with the decorator on %s', (adapter) => {
  it.each<ProfileName>(['draft', 'paidonce'])('passes the profile %s', async (profile) => {
    const shop = await openShop(adapter, {
      controllers: [CheckedController],
      options: { errorPageUrl: 'https://shop.example/errors' },
    });
    const report = await check(shop.url, profile, {
      ...ORDERS,
      path: '/checked',
      effects: { count: { path: '/checked', at: '' }, identity: '/id' },
    });
    await shop.close();
    expect(blemishesOf(report)).toEqual([]);
    expect(report.passed).toBeGreaterThan(12);
  });
});

it('passes our own /v1 in the profile stripe', async () => {
  const app = await startApp({ env: { SANDBOX_LATENCY_MS: String(SLOW_SANDBOX_MS) } });
  const config = ownServerConfig(app.apiKey, await app.createKey('other'));
  const report = await check(app.url, 'stripe', config);
  await app.close();
  expect(blemishesOf(report)).toEqual([]);
  expect(report.passed).toBeGreaterThan(12);
});

describe('a naive server', () => {
  it('fails what a Map without lock, comparison and scope breaks, and nothing else', async () => {
    const naive = await startNaiveServer();
    const report = await check(naive.url, 'draft');
    await naive.close();
    expect(namesOf(report, 'failed')).toEqual([
      'reused-key',
      'copies-at-once',
      'copy-in-flight',
      'missing-key',
      'empty-key',
      'non-ascii-key',
      'repeated-key',
      'quoted-key',
      'other-account',
    ]);
    expect(namesOf(report, 'passed')).toEqual([
      'first-request',
      'two-keys',
      'replay',
      'refusal-replayed',
    ]);
    expect(namesOf(report, 'not tried')).toEqual([
      'refused-without-effect',
      'error-body',
      'error-link',
    ]);
  });

  it('fails what paidonce adds to the draft, too', async () => {
    const naive = await startNaiveServer();
    const failed = namesOf(await check(naive.url, 'paidonce'), 'failed');
    await naive.close();
    expect(failed).toEqual(
      expect.arrayContaining([
        'replay-header',
        'request-ids',
        'copy-waits',
        'long-key',
        'card-number-key',
        'key-echo',
        'refusal-replayed',
        'invalid-not-stored',
      ]),
    );
  });

  it.each<[Worse, string[]]>([
    ['it acknowledges and does nothing', ['first-request']],
    ['it replays any response', ['two-keys']],
    ['it runs every copy', ['replay']],
    ['it refuses after the effect', ['refused-without-effect', 'error-body', 'error-link']],
  ])('is worse if %s, which %j show', async (worse, names) => {
    const naive = await startNaiveServer(worse);
    const failed = namesOf(await check(naive.url, 'draft'), 'failed');
    await naive.close();
    expect(failed).toEqual(expect.arrayContaining(names));
  });
});

describe('what the config does not allow', () => {
  it('is not tried, and has not passed', async () => {
    const naive = await startNaiveServer();
    const { path, body, otherBody, timeoutMs } = ORDERS;
    const effects = { identity: '/id' };
    const config = { path, body, otherBody, effects, timeoutMs };
    const report = await check(naive.url, 'draft', config);
    await naive.close();
    expect(namesOf(report, 'failed')).toEqual(['reused-key', 'copies-at-once', 'quoted-key']);
    expect(namesOf(report, 'not tried')).toEqual([
      'copy-in-flight',
      'missing-key',
      'empty-key',
      'non-ascii-key',
      'repeated-key',
      'other-account',
      'refusal-replayed',
      'refused-without-effect',
      'error-body',
      'error-link',
    ]);
  });

  it('is everything where the first request has no effect', async () => {
    const naive = await startNaiveServer();
    const report = await check(naive.url, 'draft', { ...ORDERS, body: { item: 'sold out' } });
    await naive.close();
    expect(namesOf(report, 'failed')).toEqual(['first-request']);
    expect(namesOf(report, 'passed')).toEqual([]);
  });
});

it('ends by itself, also where the server never responds', async () => {
  const naive = await startNaiveServer();
  const config = { ...ORDERS, body: { item: 'slow' }, timeoutMs: 100 };
  const report = await check(naive.url, 'draft', config);
  await naive.close();
  expect(report.checks[0]).toMatchObject({
    result: 'failed',
    saw: 'POST /orders took longer than 100 ms.',
  });
});

describe('a wrong config', () => {
  it.each<[string, unknown, string]>([
    ['no object', [], 'The config must be a JSON object.'],
    ['an unknown name', { ...ORDERS, boddy: 1 }, 'The config knows no `boddy`, but method, path'],
    ['no path', { ...ORDERS, path: 'orders' }, 'In the config `path` must be a path that begins'],
    ['another host', { ...ORDERS, path: '//example.com' }, 'In the config `path` must be a path'],
    ['one body', { ...ORDERS, otherBody: ORDERS.body }, '`otherBody` must be another body'],
    ['no effects', { ...ORDERS, effects: undefined }, '`effects` must be an object with `count`'],
    ['a wrong pointer', { ...ORDERS, effects: { identity: 'id' } }, '`effects.identity` must be'],
    ['a key', { ...ORDERS, headers: { 'Idempotency-Key': 'a' } }, 'without idempotency-key'],
    ['a wrong slow route', { ...ORDERS, slow: {} }, 'In the config `slow.body` must be JSON'],
    [
      'a wrong status',
      { ...ORDERS, reusedStatus: 200 },
      '`reusedStatus` must be a status from 400',
    ],
    [
      'too many copies',
      { ...ORDERS, copies: 201 },
      '`copies` must be a whole number from 2 to 200',
    ],
  ])('with %s is refused in a sentence', (_kind, config, sentence) => {
    expect(() => readCheckConfig(JSON.stringify(config))).toThrow(sentence);
  });

  it('cannot lead to another machine than the URL', async () => {
    const report = await check('http://127.0.0.1:1', 'draft', {
      ...ORDERS,
      effects: { identity: '/id' },
      path: '/\\example.com',
    });
    expect(report.checks[0]?.saw).toContain('127.0.0.1:1');
  });

  it('that is no JSON is refused in a sentence', () => {
    expect(() => readCheckConfig('{')).toThrow('The config is not JSON: ');
  });

  it('that finds no effects on the server is refused in a sentence', async () => {
    const naive = await startNaiveServer();
    const wrong = { ...ORDERS, effects: { count: { path: '/orders', at: '/data' } } };
    const error = await check(naive.url, 'draft', wrong).catch((e: CheckConfigError) => e.message);
    await naive.close();
    expect(error).toBe(
      '`effects.count`: GET /orders got 200, and has no list or number at "/data".',
    );
  });
});

describe('the README of the package', () => {
  const readme = readFileSync(join(__dirname, '../../../src/idempotency/README.md'), 'utf8');

  it('shows a config that is right', () => {
    const [, shown = ''] = /```json\n(.*?)```/s.exec(readme) ?? [];
    expect(readCheckConfig(shown).slow).toMatchObject({ method: 'POST', path: '/reports' });
  });

  it('explains every name of a config', () => {
    const [, section = ''] = /## Check a server\n(.*?)\n## /s.exec(readme) ?? [];
    const known = (() => {
      try {
        readCheckConfig('{"boddy":1}');
      } catch (error) {
        return (error as CheckConfigError).message.match(/\w+(?=,|\.$)/g) ?? [];
      }
      return [];
    })();
    expect(known.length).toBeGreaterThan(12);
    const rows = section.split('\n').filter((line) => line.startsWith('| `'));
    const explained = rows.map((row) => row.split('|')[1]).join();
    expect(known.filter((name) => !explained.includes(`\`${name}`))).toEqual([]);
  });
});

it('puts a text of its own for each run where the config says so', () => {
  const [first, second] = [1, 2].map(() =>
    readCheckConfig(JSON.stringify({ ...ORDERS, body: 'item={{run}}' })),
  );
  expect(first!.route.body).toMatch(/^item=[\da-f-]{36}$/);
  expect(first!.route.body).not.toBe(second!.route.body);
});

describe('the server', () => {
  it.each(['http://localhost:3000', 'http://127.1.2.3', 'http://[::1]:1', 'http://a.localhost'])(
    'at %s is this machine',
    (url) => expect(readServerUrl(url, false).href).toContain(url),
  );

  it.each(['http://example.com', 'http://127.0.0.1.example.com', 'http://10.0.0.1'])(
    'at %s is another machine, and checked only if that is meant',
    (url) => {
      expect(() => readServerUrl(url, false)).toThrow('If that is meant, add --yes.');
      expect(readServerUrl(url, true).href).toContain(url);
    },
  );

  it.each(['localhost:3000', 'shop', 'file:///etc'])('at %s is refused in a sentence', (url) => {
    expect(() => readServerUrl(url, true)).toThrow(`${url} is no http or https URL`);
  });
});
