/** A shop whose global pipe, filter, serialiser and outer interceptor surround the controllers of a test. */
import {
  ClassSerializerInterceptor,
  type INestApplication,
  Injectable,
  ValidationPipe,
} from '@nestjs/common';
import { APP_INTERCEPTOR, HttpAdapterHost, Reflector } from '@nestjs/core';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { type Adapter, openShop, Order, type Shop, type ShopOptions, Watch } from '../shop.fixture';
import { DomainFilter, OuterInterceptor } from './enhancers.fixture';

/** What the handlers have in common: each run is counted, and leaves a row to look for. */
@Injectable()
export class OrderWriter {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly watch: Watch,
  ) {}

  /** @returns the order's id */
  async write(): Promise<number> {
    this.watch.runs += 1;
    return (await this.orders.save({ account: 'pipeline', amount: 1 })).id;
  }
}

/** Serialiser and outer interceptor are global, so both stand outside of `@Idempotent()`. */
export function openEnhancedShop(adapter: Adapter, given: ShopOptions): Promise<Shop> {
  return openShop(adapter, {
    options: { storedHeaders: ['X-Kept'] },
    poolSize: 4,
    configure: (app: INestApplication) => {
      app.useGlobalPipes(new ValidationPipe({ transform: true }));
      app.useGlobalFilters(new DomainFilter(app.get(HttpAdapterHost)));
      app.useGlobalInterceptors(new ClassSerializerInterceptor(app.get(Reflector)));
    },
    ...given,
    providers: [
      OrderWriter,
      { provide: APP_INTERCEPTOR, useClass: OuterInterceptor },
      ...(given.providers ?? []),
    ],
  });
}
