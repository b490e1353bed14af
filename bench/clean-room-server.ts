/**
 * The application of the clean room, with the module or without it. Started by clean-room.ts with ROOM, and with
 * DATABASE_URL, to which it is connected in any case.
 */
import 'reflect-metadata';
import { AsyncLocalStorage } from 'node:async_hooks';
import { Controller, Module, Post, Res } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Idempotent, IdempotencyModule } from '../src/idempotency';

/** `clean`: without the module. `context`: the same, once an AsyncLocalStorage has run. `ours`: with the module. */
export type Room = 'clean' | 'context' | 'ours';

const { ROOM, DATABASE_URL = '' } = process.env;

/** About 600 bytes as JSON. */
const RESPONSE = { id: 'ord_0123456789abcdefghijklmn', amount: 2000, text: 'x'.repeat(540) };
const ID = '0b6a3f0e-6d1c-4d8e-9d35-0c9a3f1a2b4c';

/** What a replay has beside its body, in texts of the same length. */
const HEADERS = {
  'idempotency-key': 'clean-room',
  'request-id': ID,
  'original-request': ID,
  'stripe-should-retry': 'false',
  'idempotent-replayed': 'true',
  'content-type': 'application/json; charset=utf-8',
};

@Controller()
class PlainController {
  @Post('nothing')
  nothing() {
    return RESPONSE;
  }

  @Post('replayed')
  replayed(@Res({ passthrough: true }) reply: { headers(all: object): unknown }) {
    reply.headers(HEADERS);
    return RESPONSE;
  }
}

@Controller()
class DecoratedController {
  @Post('nothing')
  nothing() {
    return RESPONSE;
  }

  @Post('replayed')
  @Idempotent({ required: true })
  replayed() {
    return RESPONSE;
  }
}

const database = TypeOrmModule.forRoot({ type: 'postgres', url: DATABASE_URL });

@Module({ imports: [database], controllers: [PlainController] })
class CleanModule {}

@Module({
  imports: [
    database,
    IdempotencyModule.forRoot({ scope: () => 'bench', createSchema: true, purgeIntervalMs: 0 }),
  ],
  controllers: [DecoratedController],
})
class OurModule {}

async function main(): Promise<void> {
  const app = await NestFactory.create(
    ROOM === 'ours' ? OurModule : CleanModule,
    new FastifyAdapter(),
    { logger: ['error'] },
  );
  if (ROOM === 'context') new AsyncLocalStorage<object>().run({}, () => undefined);
  await app.listen(0, '127.0.0.1');
  process.stdout.write(`listens on ${await app.getUrl()}\n`);
  process.on('SIGTERM', () => process.exit(0));
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system); // µs
  });
}

main().catch((error: Error) => {
  process.stderr.write(`${error.stack ?? error.message}\n`);
  process.exit(1);
});
