/** Handlers and parsers for the kinds of body that an application may have, on either HTTP adapter. */
import {
  Body,
  Controller,
  type INestApplication,
  Inject,
  Post,
  Req,
  UploadedFile as Uploaded,
  UseInterceptors,
} from '@nestjs/common';
import { FileInterceptor, FilesInterceptor } from '@nestjs/platform-express';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { randomUUID } from 'node:crypto';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import type { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { type HttpRequest, Idempotent, Phases } from '../../../src/idempotency';
import { type Adapter, type Shop, Watch } from '../shop.fixture';
import { OrderWriter } from './enhanced-shop.fixture';

const nodeRequest = (request: HttpRequest): IncomingMessage =>
  request.raw ?? (request as unknown as IncomingMessage);

const digest = ({ headers }: HttpRequest) => headers['x-digest'];

/** Bodies that their handlers or parsers read in all ways. */
@Controller('bodies')
export class BodiesController {
  constructor(
    @Inject(OrderWriter) private readonly orders: OrderWriter,
    @Inject(Watch) private readonly watch: Watch,
  ) {}

  @Post('parsed')
  @Idempotent()
  async parsed() {
    return { order: await this.orders.write() };
  }

  @Post('stream')
  @Idempotent()
  stream(@Req() request: HttpRequest) {
    return this.readItself(request);
  }

  @Post('digested')
  @Idempotent({ fingerprint: digest })
  digested(@Req() request: HttpRequest) {
    return this.readItself(request);
  }

  @Post('digested-later')
  @Idempotent({ fingerprint: (request) => Promise.resolve(digest(request)) })
  digestedLater(@Req() request: HttpRequest) {
    return this.readItself(request);
  }

  @Post('received')
  @Idempotent({ key: ({ headers }) => String(headers['x-event']), compare: 'key' })
  received(@Req() request: HttpRequest) {
    return this.readItself(request);
  }

  @Post('phased')
  @Idempotent({ phased: true })
  phased(@Phases() phases: Phases) {
    return this.callOutside(phases);
  }

  @Post('phased-digested')
  @Idempotent({ phased: true, fingerprint: digest })
  phasedDigested(@Phases() phases: Phases) {
    return this.callOutside(phases);
  }

  private async readItself(request: HttpRequest) {
    const order = await this.orders.write();
    return { order, read: await text(nodeRequest(request)) };
  }

  private async callOutside(phases: Phases) {
    await phases.local('begin', () => Promise.resolve());
    await phases.remote('charge', (key, signal) => {
      this.watch.remoteCalls.push(key);
      return this.watch.remote(key, signal);
    });
    return phases.finish(async () => ({ order: await this.orders.write() }));
  }
}

/** Stores a file elsewhere: neither bytes nor a path are left. */
const ELSEWHERE = {
  _handleFile(
    _request: unknown,
    { stream }: { stream: Readable },
    done: (error: null, info: object) => void,
  ) {
    stream.resume().once('end', () => done(null, { location: `bucket/${randomUUID()}` }));
  },
  _removeFile: (_request: unknown, _file: unknown, done: (error: null) => void) => done(null),
};

/** Uploads as NestJS shows them: multer alone, on Express alone. */
@Controller('uploads')
export class UploadsController {
  constructor(@Inject(OrderWriter) private readonly orders: OrderWriter) {}

  @Post('above')
  @Idempotent()
  @UseInterceptors(FileInterceptor('doc'))
  async above(@Uploaded() file: { size: number }, @Body('amount') amount: string) {
    return { order: await this.orders.write(), size: file.size, amount };
  }

  @Post('ignoring')
  @Idempotent({ ignore: ['doc', 'amount'] })
  @UseInterceptors(FileInterceptor('doc'))
  async ignoring() {
    return { order: await this.orders.write() };
  }

  @Post('below')
  @UseInterceptors(FileInterceptor('doc'))
  @Idempotent()
  async below() {
    return { order: await this.orders.write() };
  }

  @Post('disk')
  @Idempotent()
  @UseInterceptors(FilesInterceptor('doc', 10, { dest: tmpdir() }))
  async disk() {
    return { order: await this.orders.write() };
  }

  @Post('elsewhere')
  @Idempotent()
  @UseInterceptors(FileInterceptor('doc', { storage: ELSEWHERE }))
  async elsewhere() {
    return { order: await this.orders.write() };
  }

  @Post('elsewhere-digested')
  @Idempotent({ fingerprint: digest })
  @UseInterceptors(FileInterceptor('doc', { storage: ELSEWHERE }))
  async elsewhereDigested() {
    return { order: await this.orders.write() };
  }

  @Post('phased')
  @Idempotent({ phased: true })
  @UseInterceptors(FileInterceptor('doc'))
  async phased(@Phases() phases: Phases) {
    return phases.finish(async () => ({ order: await this.orders.write() }));
  }
}

const cycle: Record<string, unknown> = {};
cycle['again'] = [cycle];

class Money {
  constructor(readonly cents: number) {}
}

/** What a parser of `application/x-value` makes of a text. */
export const PARSED: Readonly<Record<string, () => unknown>> = {
  'bigint a': () => ({ n: 1n }),
  'bigint b': () => ({ n: 2n }),
  'map a': () => new Map([['a', 1]]),
  'map b': () => new Map([['a', 2]]),
  'set a': () => new Set([1, 2]),
  'set b': () => new Set([1, 3]),
  'date a': () => ({ at: new Date(0) }),
  'date b': () => ({ at: new Date(1) }),
  'query a': () => new URLSearchParams('a=1&b=2'),
  'query b': () => new URLSearchParams('a=1&b=3'),
  'buffer a': () => Uint8Array.of(1, 2).buffer,
  'buffer b': () => Uint8Array.of(1, 3).buffer,
  'floats a': () => Float64Array.of(1),
  'floats b': () => Float64Array.of(2),
  'class a': () => ({ price: new Money(1) }),
  'class b': () => ({ price: new Money(2) }),
  cycle: () => cycle,
  function: () => ({ run: () => 1 }),
  symbol: () => [Symbol('s')],
  promise: () => ({ later: Promise.resolve(1) }),
  nothing: () => undefined,
};

interface Multer {
  any(): (request: object, response: object, done: (error?: Error) => void) => void;
}
interface MulterFile {
  fieldname: string;
  originalname: string;
  mimetype: string;
  buffer: Buffer;
}
type Parsed = IncomingMessage & { body: Record<string, unknown>; files: MulterFile[] };

/** multer, which `@nestjs/platform-express` brings. */
const multer = jest.requireActual<(options?: object) => Multer>('multer');

function parseForm(raw: IncomingMessage): Promise<Parsed> {
  return new Promise((resolve, reject) => {
    multer().any()(raw, {}, (error) => (error ? reject(error) : resolve(raw as unknown as Parsed)));
  });
}

/** How an application on Fastify leaves a form. */
export type FormStyle = 'files' | 'saved files' | 'attached' | 'key values' | 'unread';

/** As the options of @fastify/multipart leave a form; its parser is multer's here. */
async function fastifyForm(request: FastifyRequest, style: FormStyle): Promise<unknown> {
  if (style === 'unread') return undefined;
  const { body, files } = await parseForm(request.raw);
  if (style === 'files') {
    Object.assign(request, { files });
    return body;
  }
  if (style === 'key values') {
    return { ...body, ...Object.fromEntries(files.map((file) => [file.fieldname, file.buffer])) };
  }
  const form: Record<string, unknown> = {};
  const parts = files.map(({ fieldname, originalname: filename, mimetype, buffer: bytes }) => ({
    type: 'file',
    fieldname,
    filename,
    mimetype,
    _buf: bytes,
  }));
  if (style === 'saved files') {
    Object.assign(request, { savedRequestFiles: parts });
    return body;
  }
  for (const [name, value] of Object.entries(body)) {
    form[name] = { type: 'field', fieldname: name, mimetype: 'text/plain', value, fields: form };
  }
  for (const part of parts) {
    form[part.fieldname] = { ...part, fields: form, toBuffer: () => Promise.resolve(part._buf) };
  }
  return form;
}

/** Adds the parsers, and one that leaves all else unread. */
export function addParsers(app: INestApplication, adapter: Adapter, style: FormStyle): void {
  if (adapter === 'express') return addExpressParsers(app);
  const fastify = app.getHttpAdapter().getInstance() as FastifyInstance;
  const parse = async (payload: IncomingMessage) => PARSED[await text(payload)]?.();
  fastify.addContentTypeParser(
    'application/x-value',
    (_request: FastifyRequest, payload: IncomingMessage) => parse(payload),
  );
  fastify.addContentTypeParser('multipart/form-data', (request: FastifyRequest) =>
    fastifyForm(request, style),
  );
  fastify.addContentTypeParser('*', (_request, _payload, done) => done(null));
}

function addExpressParsers(app: INestApplication): void {
  app.use(async (request: IncomingMessage, _res: unknown, next: () => void) => {
    const type = request.headers['content-type'];
    if (type === 'application/x-value') {
      Object.assign(request, { body: PARSED[await text(request)]?.() });
    }
    // As Express 4 under Nest 10 leaves what no parser took.
    if (type?.startsWith('application/x-nest-10') === true) Object.assign(request, { body: {} });
    if (type === 'application/x-nest-10-read') await buffer(request);
    next();
  });
}

/** A request whose body is sent as it is given. */
export interface RawRequest {
  readonly key?: string;
  readonly headers?: Record<string, string>;
  /** Chunks; nothing for no body. With a `content-length` they are sent as they are. */
  readonly chunks?: readonly (string | Buffer)[];
}

/** `fetch` chooses between length and chunks itself. */
export function sendRaw(
  shop: Shop,
  path: string,
  { key, headers = {}, chunks }: RawRequest,
): Promise<{ status: number | undefined; headers: IncomingMessage['headers']; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(`${shop.url}${path}`, {
      method: 'POST',
      headers: {
        authorization: 'a',
        ...(key === undefined ? {} : { 'idempotency-key': key }),
        ...(chunks && headers['content-length'] === undefined
          ? { 'transfer-encoding': 'chunked' }
          : {}),
        ...headers,
      },
    });
    sent.once('error', reject);
    sent.once('response', (response) => {
      const { statusCode: status, headers: received } = response;
      text(response).then((body) => resolve({ status, headers: received, text: body }), reject);
    });
    for (const chunk of chunks ?? []) sent.write(chunk);
    sent.end();
  });
}
