/** A small application that speaks the wire format and needs no database. */
import 'reflect-metadata';
import { EventEmitter } from 'node:events';
import {
  Body,
  Controller,
  Delete,
  Get,
  Module,
  Param as PathParam,
  Post,
  Query,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import {
  CardError,
  configureWire,
  ExpandParam,
  IsAmount,
  IsCurrency,
  IsEmailAddress,
  IsFlag,
  IsInteger,
  IsObjectOf,
  IsOneOf,
  IsText,
  IsTextList,
  ListParams,
  MetadataParam,
  WireModule,
  wireProviders,
  wireServerOptions,
  type MetadataChange,
} from '../../src/wire';

export class CardParams {
  @IsInteger({ required: true, min: 1, max: 12 })
  exp_month: number;

  @IsText({ unsettable: true })
  name?: string | null;
}

export class ThingParams {
  @IsAmount()
  amount: number;

  @IsCurrency()
  currency: string;

  @IsFlag()
  capture?: boolean;

  @IsObjectOf(() => CardParams)
  card?: CardParams;

  @IsText({ unsettable: true })
  description?: string | null;

  @IsEmailAddress()
  email?: string;

  @ExpandParam('thing')
  expand?: string[];

  @MetadataParam()
  metadata?: MetadataChange;

  @IsOneOf(['automatic', 'manual'])
  method?: string;

  @IsText()
  phone?: string;

  @IsTextList({ of: ['card', 'link'] })
  types?: string[];
}

/** Says when a request to `/v1/slow` has arrived, with the function that has it answered. */
export const slowThings = new EventEmitter<{ arrived: [finish: () => void] }>();

@Controller('v1')
class ThingsController {
  @Post('things')
  create(@Body() params: ThingParams): object {
    return { object: 'thing', received: params };
  }

  @Get('things')
  list(@Query() query: ListParams): object {
    return { object: 'list', received: query };
  }

  @Get('things/:id')
  retrieve(@PathParam('id') id: string): object {
    return { object: 'thing', id };
  }

  @Delete('things/:id')
  delete(@PathParam('id') id: string): object {
    return { object: 'thing', id, deleted: true };
  }

  /** Answers when the test says so. */
  @Post('slow')
  async slow(): Promise<object> {
    await new Promise<void>((resolve) => slowThings.emit('arrived', resolve));
    return { object: 'thing' };
  }

  @Get('broken')
  broken(): never {
    throw new Error('the password is hunter2');
  }

  @Get('declined')
  declined(): never {
    throw new CardError('Your card was declined.', {
      code: 'card_declined',
      decline_code: 'generic_decline',
      charge: 'ch_1',
      payment_intent: { id: 'pi_1', object: 'payment_intent' },
    });
  }
}

/** Where `doc_url` of its errors leads. */
export const errorLink = (name: string) => `https://pay.example/docs/errors#${name}`;

@Module({
  imports: [WireModule],
  controllers: [ThingsController],
  providers: wireProviders(errorLink),
})
class ThingsModule {}

/** Started and ready for `app.inject()`; bodies may have 20,000 bytes. */
export async function thingsApp(): Promise<NestFastifyApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(
    ThingsModule,
    new FastifyAdapter(wireServerOptions(errorLink)),
    { logger: false },
  );
  configureWire(app, { bodyLimitBytes: 20_000 });
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
  return app;
}
