/** Handlers with enhancers of their own, and handlers that throw what a filter maps. */
import { Body, Controller, Param, Post, UseGuards, UseInterceptors } from '@nestjs/common';
import { IsInt } from 'class-validator';
import { Idempotent } from '../../../src/idempotency';
import { OrderWriter } from './enhanced-shop.fixture';
import { Broken, OutOfStock, RefusingInterceptor, RevocationGuard } from './enhancers.fixture';

class CreateProfile {
  @IsInt() amount: number;
}

@Controller('enhanced')
export class EnhancedController {
  constructor(private readonly orders: OrderWriter) {}

  @Post('validated')
  @Idempotent()
  async validated(@Body() body: CreateProfile) {
    await this.orders.write();
    return { amount: body.amount };
  }

  @Post('guarded')
  @UseGuards(RevocationGuard)
  @Idempotent()
  async guarded() {
    return { order: await this.orders.write() };
  }

  @Post('domain/:error')
  @Idempotent()
  async domain(@Param('error') error: string) {
    await this.orders.write();
    throw error === 'stock' ? new OutOfStock('none left') : new Broken('fell over');
  }

  @Post('refused-below')
  @Idempotent()
  @UseInterceptors(RefusingInterceptor)
  async refusedBelow() {
    return { order: await this.orders.write() };
  }

  @Post('refused-above')
  @UseInterceptors(RefusingInterceptor)
  @Idempotent()
  async refusedAbove() {
    return { order: await this.orders.write() };
  }
}
