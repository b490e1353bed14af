/** Handlers that are inherited, overridden, request-scoped, decorated above and below, and of every HTTP method. */
import {
  BadRequestException,
  Body,
  Controller,
  Delete,
  Get,
  Head,
  Headers as AllHeaders,
  Injectable,
  Options,
  Patch,
  Post,
  Put,
  Scope,
  SetMetadata,
} from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { Idempotent } from '../../../src/idempotency';
import { Order, Watch } from '../shop.fixture';
import { OrderWriter } from './enhanced-shop.fixture';

abstract class InheritedController {
  constructor(@InjectRepository(Order) protected readonly rows: Repository<Order>) {}

  @Post('inherited')
  @Idempotent()
  inherited(@Body() body: { amount: number }) {
    return this.rows.save({ account: this.constructor.name, amount: body.amount });
  }

  @Post('overridden')
  @Idempotent()
  async overridden(@Body() body: { amount: number }) {
    return { by: 'base', amount: body.amount };
  }
}

@Controller('shapes')
export class DerivedController extends InheritedController {
  constructor(
    @InjectRepository(Order) rows: Repository<Order>,
    private readonly orders: OrderWriter,
    private readonly watch: Watch,
  ) {
    super(rows);
  }

  @Post('overridden')
  @Idempotent()
  override async overridden(@Body() body: { amount: number }) {
    const { amount } = await super.overridden(body);
    return { by: 'child', order: await this.orders.write(), amount };
  }

  @Post('mutates')
  @Idempotent()
  async mutates(@Body() body: { tags: string[]; note?: string }) {
    body.tags.push('added');
    body.note = 'changed';
    return { order: await this.orders.write(), body };
  }

  @Put('verb')
  @Idempotent()
  put() {
    return this.rows.count().then(() => ({ verb: 'put' }));
  }

  @Patch('verb')
  @Idempotent()
  patch() {
    return { verb: 'patch' };
  }

  @Delete('verb')
  @Idempotent()
  delete() {
    return { verb: 'delete' };
  }

  @Get('safe')
  @Idempotent({ required: true })
  get() {
    return { run: (this.watch.runs += 1) };
  }

  @Head('safe-head')
  @Idempotent({ required: true })
  head() {
    this.watch.runs += 1;
  }

  @Options('safe')
  @Idempotent({ required: true })
  options() {
    return { run: (this.watch.runs += 1) };
  }

  @Post('undecorated')
  undecorated() {
    return { run: (this.watch.runs += 1) };
  }

  @SetMetadata('above', 1)
  @Idempotent()
  @SetMetadata('below', 2)
  @Post('decorated')
  decorated(@AllHeaders('x-seen') seen: string) {
    const { value } = Object.getOwnPropertyDescriptor(DerivedController.prototype, 'decorated') as {
      value: { name: string };
    };
    const read = (name: string): unknown => Reflect.getMetadata(name, value);
    return { above: read('above'), below: read('below'), name: value.name, seen };
  }
}

@Injectable({ scope: Scope.REQUEST })
export class PerRequest {
  static made = 0;
  readonly number = (PerRequest.made += 1);
}

@Controller({ path: 'scoped', scope: Scope.REQUEST })
export class ScopedController {
  constructor(
    private readonly perRequest: PerRequest,
    @InjectRepository(Order) private readonly orders: Repository<Order>,
  ) {}

  @Post()
  @Idempotent()
  async create(@Body() body: { fail?: boolean }) {
    await this.orders.save({ account: 'scoped', amount: this.perRequest.number });
    if (body.fail) throw new BadRequestException(`in ${this.perRequest.number}`);
    return { made: this.perRequest.number };
  }
}
