/** Handlers that a test holds up, to have something happen while they run. */
import { Body, Controller, Post } from '@nestjs/common';
import { defer, NEVER } from 'rxjs';
import { Idempotent } from '../../../src/idempotency';
import { Watch } from '../shop.fixture';
import { OrderWriter } from './enhanced-shop.fixture';

@Controller('slow')
export class SlowController {
  constructor(
    private readonly orders: OrderWriter,
    private readonly watch: Watch,
  ) {}

  @Post('held')
  @Idempotent()
  async held(@Body() body: { hold?: string }) {
    const id = await this.orders.write();
    await this.watch.hold(body.hold);
    await this.orders.write();
    return { id };
  }

  @Post('observable')
  @Idempotent()
  observable() {
    return defer(async () => {
      const id = await this.orders.write();
      await this.watch.hold('observable');
      return { id };
    });
  }

  @Post('never')
  @Idempotent()
  async never() {
    await this.orders.write();
    this.watch.emit('held never');
    return NEVER;
  }
}
