/** The job process: the same modules as `main`, without HTTP. */
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module';
import { openDatabase } from './database';
import { Log } from './log';
import { runService } from './process';

runService(async (given, undo) => {
  const { settings, close } = await openDatabase(given);
  undo(close);
  const app = await NestFactory.createApplicationContext(AppModule.with(settings), {
    logger: new Log(settings.LOG_LEVEL),
    abortOnError: false,
  });
  undo(() => app.close());
  process.stdout.write('paidonce worker runs\n');
});
