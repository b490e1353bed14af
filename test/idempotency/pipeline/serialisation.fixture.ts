/** Handlers whose responses pass through serialisers, decorators and compression on their way to the client. */
import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import {
  Controller,
  Header,
  HttpCode,
  type INestApplication,
  Param,
  Post,
  Redirect,
  Res,
} from '@nestjs/common';
import { Exclude } from 'class-transformer';
import type { FastifyInstance } from 'fastify';
import { Idempotent } from '../../../src/idempotency';
import { type Adapter, Watch } from '../shop.fixture';
import { OrderWriter } from './enhanced-shop.fixture';

class Profile {
  @Exclude() secret = 'the-excluded-field';
  constructor(readonly id: number) {}
}

/** What handlers return, by the name of its kind. */
export const BODIES: Record<string, unknown> = {
  undefined: undefined,
  null: null,
  string: 'plain text, ünïcode ✓',
  'empty-string': '',
  number: 42,
  zero: 0,
  false: false,
  array: [1, 'two', null],
  buffer: Buffer.from([0, 255, 10, 13, 128]),
  object: { nested: { ünï: '✓\u2028' } },
  big: { text: 'ü'.repeat(512 * 1024) },
};

interface Reply {
  header(name: string, value: string | string[]): unknown;
}

@Controller('serialised')
export class SerialisedController {
  constructor(
    private readonly orders: OrderWriter,
    private readonly watch: Watch,
  ) {}

  @Post('excluded')
  @Idempotent()
  async excluded() {
    return new Profile(await this.orders.write());
  }

  @Post('coded')
  @HttpCode(202)
  @Idempotent()
  @Header('x-made', 'here')
  @Header('Location', '/there')
  @Header('x-kept', 'kept')
  coded(@Res({ passthrough: true }) reply: Reply) {
    reply.header('set-cookie', ['one=1; Path=/', 'two=2; Path=/']);
    return { coded: true };
  }

  @Post('redirected')
  @Idempotent()
  @Redirect('/elsewhere', 303)
  async redirected() {
    await this.orders.write();
    return { url: `/orders/${await this.orders.write()}` };
  }

  @Post('no-content')
  @HttpCode(204)
  @Idempotent()
  async noContent() {
    await this.orders.write();
  }

  @Post('body/:kind')
  @Idempotent()
  body(@Param('kind') kind: string): unknown {
    this.watch.runs += 1;
    return BODIES[kind];
  }
}

/** Does what NestJS's compression middleware and plugins do, briefly. */
export function compress(app: INestApplication, adapter: Adapter): void {
  if (adapter === 'fastify') {
    const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
    fastify.addHook('onSend', (_request, reply, payload, done) => {
      if (typeof payload !== 'string') return done(null, payload);
      reply.header('content-encoding', 'gzip');
      done(null, gzipSync(payload));
    });
    return;
  }
  app.use((_request: unknown, response: ServerResponse, next: () => void) => {
    const end = response.end.bind(response);
    response.end = ((body: string | Buffer) => {
      const bytes = gzipSync(body);
      response.setHeader('content-encoding', 'gzip').setHeader('content-length', bytes.length);
      return end(bytes);
    }) as typeof response.end;
    next();
  });
}
