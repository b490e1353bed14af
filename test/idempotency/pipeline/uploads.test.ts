/** R7a: files take part by field, original name, type and content, wherever a library has put them. */
import { randomUUID } from 'node:crypto';
import { type Adapter, type Shop } from '../shop.fixture';
import { countKeys, countOrders } from '../shop-database.fixture';
import {
  addParsers,
  BodiesController,
  type FormStyle,
  sendRaw,
  UploadsController,
} from './bodies.fixture';
import { openEnhancedShop } from './enhanced-shop.fixture';

interface Upload {
  readonly field?: string;
  readonly name?: string;
  readonly type?: string;
  readonly content?: string;
  readonly amount?: string;
  /** What `fingerprint` returns. */
  readonly digest?: string;
}

const ORIGINAL: Required<Omit<Upload, 'digest'>> = {
  field: 'doc',
  name: 'invoice.txt',
  type: 'text/plain',
  content: 'first file',
  amount: '100',
};
/** What makes it another request, and the name of what differs. */
const CHANGES: readonly [Upload, string][] = [
  [{ content: 'other file' }, '(file doc)'],
  [{ name: 'copy.txt' }, '(file doc)'],
  [{ type: 'text/csv' }, '(file doc)'],
  [{ amount: '999' }, 'amount'],
];

/** The form as a client sends it, in parts that it chooses anew each time. */
function sendForm(shop: Shop, path: string, key: string, upload: Upload) {
  const { field, name, type, content, amount, digest } = { ...ORIGINAL, ...upload };
  const boundary = randomUUID();
  const form = [
    `--${boundary}`,
    'content-disposition: form-data; name="amount"',
    '',
    amount,
    `--${boundary}`,
    `content-disposition: form-data; name="${field}"; filename="${name}"`,
    `content-type: ${type}`,
    '',
    content,
    `--${boundary}--`,
    '',
  ].join('\r\n');
  return sendRaw(shop, path, {
    key,
    headers: {
      'content-type': `multipart/form-data; boundary=${boundary}`,
      ...(digest === undefined ? {} : { 'x-digest': digest }),
    },
    chunks: [form],
  });
}

/** A copy gets the stored response; each change is refused, and named. */
async function isCompared(
  shop: Shop,
  path: string,
  changes: readonly [Upload, string][],
): Promise<string> {
  const key = randomUUID();
  const orders = await countOrders(shop);
  const first = await sendForm(shop, path, key, {});
  expect([first.status, first.text]).toEqual([201, expect.anything()]);
  for (const [change, name] of changes) {
    const other = await sendForm(shop, path, key, change);
    expect([change, other.status]).toEqual([change, 422]);
    expect(other.text).toContain(name);
  }
  const copy = await sendForm(shop, path, key, {});
  expect([copy.headers['idempotent-replayed'], copy.text]).toEqual(['true', first.text]);
  expect(await countOrders(shop)).toBe(orders + 1);
  return first.text;
}

async function isRefused(shop: Shop, path: string, words: string): Promise<void> {
  const key = randomUUID();
  const orders = await countOrders(shop);
  const refused = await sendForm(shop, path, key, {});
  expect([refused.status, refused.text]).toEqual([415, expect.stringContaining(words)]);
  expect([await countKeys(shop, key), await countOrders(shop)]).toEqual([0, orders]);
}

const openUploads = (adapter: Adapter, style: FormStyle) =>
  openEnhancedShop(adapter, {
    controllers: [BodiesController, UploadsController],
    configure: (app) => addParsers(app, adapter, style),
  });

describe('R7a an upload through multer, on express', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openUploads('express', 'unread');
  });
  afterAll(() => shop.close());

  it('is compared where @Idempotent() stands above FileInterceptor', async () => {
    const text = await isCompared(shop, '/uploads/above', CHANGES);
    expect(JSON.parse(text)).toMatchObject({ size: 10, amount: '100' });
  });

  it('takes no part in a field that the endpoint leaves out', async () => {
    const key = randomUUID();
    const first = await sendForm(shop, '/uploads/ignoring', key, {});
    for (const [change] of CHANGES) {
      expect((await sendForm(shop, '/uploads/ignoring', key, change)).text).toBe(first.text);
    }
  });

  it('is compared by its content on disk, whatever name that file was given', async () => {
    await isCompared(shop, '/uploads/disk', CHANGES);
  });

  it('is refused in words where @Idempotent() stands below', async () => {
    await isRefused(shop, '/uploads/below', 'writes @Idempotent() above the interceptor');
  });

  it('is refused where its content is neither in memory nor on disk, unless `fingerprint` knows it', async () => {
    await isRefused(shop, '/uploads/elsewhere', 'neither in memory nor at a path');
    const path = '/uploads/elsewhere-digested';
    const key = randomUUID();
    const first = await sendForm(shop, path, key, { digest: 'a' });
    expect(first.status).toBe(201);
    expect((await sendForm(shop, path, key, { digest: 'a' })).text).toBe(first.text);
    for (const [upload, name] of [
      [{ digest: 'b' }, '(fingerprint)'],
      [{ digest: 'a', name: 'copy.txt' }, '(file doc)'],
    ] as const) {
      const other = await sendForm(shop, path, key, upload);
      expect([other.status, other.text]).toEqual([422, expect.stringContaining(name)]);
    }
  });

  it('is refused to a phased operation, which could not be sent again', async () => {
    await isRefused(shop, '/uploads/phased', 'rawBody: true');
  });

  it('is not looked for in a JSON body, which could name any path of the server', async () => {
    const sent = (path: string, key: string) =>
      sendRaw(shop, '/bodies/parsed', {
        key,
        headers: { 'content-type': 'application/json' },
        chunks: [JSON.stringify({ fieldname: 'doc', originalname: 'a', mimetype: 'b', path })],
      });
    const key = randomUUID();
    expect((await sent('/nowhere/a', key)).status).toBe(201);
    expect((await sent('/nowhere/b', key)).status).toBe(422);
  });
});

describe.each<FormStyle>(['files', 'saved files', 'attached'])(
  'R7a an upload that a parser leaves as %s, on fastify',
  (style) => {
    it('is compared', async () => {
      const shop = await openUploads('fastify', style);
      try {
        await isCompared(shop, '/bodies/parsed', [...CHANGES, [{ field: 'other' }, '(file']]);
      } finally {
        await shop.close();
      }
    });
  },
);

describe('R7a an upload on fastify', () => {
  it('is compared by content and field where no more is left of it', async () => {
    const shop = await openUploads('fastify', 'key values');
    try {
      await isCompared(shop, '/bodies/parsed', [
        [{ content: 'other file' }, 'doc'],
        [{ field: 'other' }, 'other'],
        [{ amount: '999' }, 'amount'],
      ]);
    } finally {
      await shop.close();
    }
  });

  it('is refused where the handler would read it', async () => {
    const shop = await openUploads('fastify', 'unread');
    try {
      await isRefused(shop, '/bodies/parsed', 'was not read before');
    } finally {
      await shop.close();
    }
  });
});
