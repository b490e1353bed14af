/** Handlers that return files, streams and observables. */
import { Readable } from 'node:stream';
import { BadRequestException, Controller, Param, Post, StreamableFile } from '@nestjs/common';
import { defer, EMPTY, from, map, of } from 'rxjs';
import { Idempotent } from '../../../src/idempotency';
import { OrderWriter } from './enhanced-shop.fixture';

@Controller('results')
export class ReturningController {
  constructor(private readonly orders: OrderWriter) {}

  @Post('file')
  @Idempotent()
  async file() {
    await this.orders.write();
    return new StreamableFile(Buffer.from('a file'), { type: 'text/plain' });
  }

  @Post('stream/:kind')
  @Idempotent()
  async stream(@Param('kind') kind: string) {
    await this.orders.write();
    if (kind === 'node') return Readable.from(['a', 'b']);
    if (kind === 'web') return new Response('a web response').body;
    if (kind === 'response') return new Response('a web response', { status: 201 });
    return (async function* () {
      yield 'a';
    })();
  }

  @Post('empty')
  @Idempotent()
  empty() {
    return defer(() => from(this.orders.write())).pipe(() => EMPTY);
  }

  @Post('several')
  @Idempotent()
  several() {
    return defer(() => from(this.orders.write().then((id) => [{ id }, { id, last: true }]))).pipe(
      map((values) => values[1]),
    );
  }

  @Post('values')
  @Idempotent()
  values() {
    return of({ value: 1 }, { value: 2 }, { value: 3 });
  }

  @Post('observable-fails')
  @Idempotent()
  observableFails() {
    return defer(async () => {
      await this.orders.write();
      throw new BadRequestException('after a write');
    });
  }
}
