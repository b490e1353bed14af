/** The HTTP process: settings → application → listen → drain. */
import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { AccountsService } from './accounts';
import { createApplication, type SandboxKey, sandboxKey } from './application';
import { openDatabase } from './database';
import { listen, runService } from './runtime';

runService(async (given, undo) => {
  const { settings, embedded, close } = await openDatabase(given);
  undo(close);
  const app = await createApplication(settings);
  undo(() => app.close());
  await app.init();
  const { url, drain } = await listen(app, settings);
  undo(drain);
  const accounts = app.get(AccountsService);
  const key = await sandboxKey(accounts, settings, embedded);
  if (settings.PUBLIC_URL === '' && (await accounts.hasLiveKeys())) {
    new Logger('PublicUrl').warn(
      `There are live API keys and PUBLIC_URL is not set: links in responses begin with ${url}. Set it ` +
        'to the URL under which clients reach this server.',
    );
  }
  process.stdout.write(welcome(url, key));
});

function welcome(url: string, sandbox: SandboxKey | undefined): string {
  const lines = [`paidonce listens on ${url}`, ''];
  if (sandbox === undefined) {
    lines.push('For an API key: npm run keys -- create --account sandbox');
  } else {
    const place = sandbox.file === undefined ? 'shown only this once' : `kept in ${sandbox.file}`;
    lines.push(
      `API key of the sandbox account (${place}):`,
      `  ${sandbox.key}`,
      '',
      'Take a payment:',
      `  curl ${url}/v1/payment_intents -u ${sandbox.key}: -H "Idempotency-Key: order-1" -d amount=2000 -d currency=usd -d payment_method=pm_card_visa -d confirm=true`,
      '',
      'Send the same line again: the same response, and no second charge. Ctrl-C stops.',
    );
  }
  return `${lines.join('\n')}\n`;
}
