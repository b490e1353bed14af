/** Handlers that return responses of every size and form, and count their runs. */
import { randomBytes } from 'node:crypto';
import { Body, Controller, Header, Post } from '@nestjs/common';
import { Idempotent } from '../../src/idempotency';
import { type Shop, Watch } from './shop.fixture';

@Controller('responses')
export class ResponsesController {
  constructor(private readonly watch: Watch) {}

  @Post('large')
  @Idempotent()
  large() {
    return { run: (this.watch.runs += 1), text: 'x'.repeat(100_000) };
  }

  @Post('text')
  @Idempotent()
  text(@Body() { length, random }: { length: number; random: boolean }) {
    const noise = Array.from(randomBytes(length), (byte) =>
      String.fromCharCode(0x23 + (byte % 0x5a)),
    );
    const text = random ? noise.join('') : 'ünïcode '.repeat(length / 8);
    return { run: (this.watch.runs += 1), text };
  }

  @Post('short')
  @Idempotent({ ttl: 60 })
  short() {
    return { run: (this.watch.runs += 1) };
  }

  @Post('placed')
  @Idempotent()
  @Header('location', '/there')
  placed() {
    return { run: (this.watch.runs += 1) };
  }

  @Post('plain')
  @Idempotent()
  plain() {
    return `run ${(this.watch.runs += 1)}`;
  }
}

/** Makes PostgreSQL forget a key, so that a replay can only come from nearer. */
export const removeRow = (shop: Shop, key: string) =>
  shop.dataSource.query('DELETE FROM idempotency_keys WHERE key = $1', [key]);
