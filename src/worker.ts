/** The job process: the application without a socket, so that recovery can send its requests (R19). */
import 'reflect-metadata';
import { createApplication } from './application';
import { openDatabase } from './database';
import { runService } from './runtime';

runService(async (given, undo) => {
  const { settings, close } = await openDatabase(given);
  undo(close);
  const app = await createApplication(settings.with({ JOBS: 'on' }));
  undo(() => app.close());
  await app.init();
  process.stdout.write('paidonce worker runs\n');
});
