/** Starts an application of these fixtures: that of the README (`APP=readme`) or the shop. */
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from '../first-replay/app.module';
import { Adapter } from './adapter';
import { ShopModule } from './shop.module';

async function main(): Promise<void> {
  const module = process.env['APP'] === 'readme' ? AppModule : ShopModule;
  const app = await NestFactory.create(module, new Adapter(), {
    rawBody: true,
    logger: ['error', 'warn'],
  });
  app.enableShutdownHooks();
  await app.listen(0, '127.0.0.1');
  console.log(`listens on ${await app.getUrl()}`);
}

void main();
