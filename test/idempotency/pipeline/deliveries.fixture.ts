/** Endpoints that receive events of a provider, once each: the key is the event's id, and no header has it. */
import { Body, Controller, Post } from '@nestjs/common';
import { type HttpRequest, Idempotent, Phases } from '../../../src/idempotency';
import { Watch } from '../shop.fixture';
import { OrderWriter } from './enhanced-shop.fixture';

/** A scope that is no account. */
export const PROVIDER = 'provider-webhooks';

const event = {
  key: ({ body }: HttpRequest) => (body as { id: string }).id,
  scope: () => PROVIDER,
  compare: 'key',
} as const;

@Controller('deliveries')
export class DeliveriesController {
  constructor(
    private readonly orders: OrderWriter,
    private readonly watch: Watch,
  ) {}

  @Post('event')
  @Idempotent(event)
  async event() {
    return { order: await this.orders.write() };
  }

  @Post('other')
  @Idempotent(event)
  async other() {
    return { order: await this.orders.write() };
  }

  @Post('header')
  @Idempotent({ ...event, key: ({ headers }) => headers['x-event'] as string, phased: true })
  async header(@Phases() phases: Phases) {
    const order = await phases.local('order', () => this.orders.write());
    const result = await phases.remote('tell', (key, signal) => this.watch.remote(key, signal));
    return phases.finish(() => Promise.resolve({ order, result }));
  }

  @Post('compared')
  @Idempotent({ key: event.key, ignore: ['client_timestamp', '__proto__'] })
  async compared(@Body() body: object) {
    return { order: await this.orders.write(), body };
  }
}
