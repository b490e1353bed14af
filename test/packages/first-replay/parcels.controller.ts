import { Idempotent, Phases } from '@paidonce/idempotency';
import { Body, Controller, Post } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { Order } from './orders.controller';

@Controller('parcels')
export class ParcelsController {
  constructor(@InjectRepository(Order) private readonly orders: Repository<Order>) {}

  @Post()
  @Idempotent({ required: true, phased: true })
  async send(@Body() body: { item: string }, @Phases() phases: Phases) {
    // One transaction. On a later attempt it is not run again: its result is handed back.
    const order = await phases.local('order', () => this.orders.save({ item: body.item }));

    // Outside any transaction. The key is the same on every attempt: the carrier must recognise it.
    const label = await phases.remote('label', async (key, signal) => {
      const response = await fetch(`${process.env['CARRIER_URL']}/labels`, {
        method: 'POST',
        headers: { 'Idempotency-Key': key },
        body: JSON.stringify({ order: order.id }),
        signal,
      });
      if (!response.ok) throw new Error(`The carrier sent ${response.status}`); // unknown: try again
      return (await response.json()) as { tracking: string };
    });

    // One transaction, which also stores the response.
    return phases.finish(async () => {
      await this.orders.update(order.id, { item: `${body.item} as ${label.tracking}` });
      return { order: order.id, tracking: label.tracking };
    });
  }
}
