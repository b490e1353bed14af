/** `npm run keys`: makes, lists and revokes API keys. */
import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { Module, type DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AccountsModule, AccountsService } from '../accounts';
import { DatabaseModule, openDatabase } from '../database';
import { Log, OperatorError, runTask, type Settings, SettingsModule } from '../runtime';

const USAGE = `Usage:
  npm run keys -- create --account NAME [--live]   makes a key, and the account if it is new
  npm run keys -- list   --account NAME            shows the account's keys
  npm run keys -- revoke --account NAME --key ID   refuses a key from now on`;

const PUBLIC_URL_ADVICE =
  'PUBLIC_URL is not set. Before clients use this key, set it for the server to the URL under which ' +
  'they reach it, e.g. https://pay.example.com: links in its responses begin with it.';

type Command =
  | { readonly verb: 'create'; readonly account: string; readonly live: boolean }
  | { readonly verb: 'list'; readonly account: string }
  | { readonly verb: 'revoke'; readonly account: string; readonly key: string };

runTask(async (given, undo) => {
  const command = parseCommand(process.argv.slice(2));
  const { settings, close } = await openDatabase(given);
  undo(close);
  const app = await NestFactory.createApplicationContext(KeysModule.with(settings), {
    logger: new Log(settings.LOG_LEVEL === 'debug' ? 'debug' : 'error'),
    abortOnError: false,
  });
  undo(() => app.close());
  process.stdout.write(`${await carryOut(command, app.get(AccountsService), settings)}\n`);
});

/** Accounts and their database, nothing else. */
@Module({})
class KeysModule {
  static with(settings: Settings): DynamicModule {
    return {
      module: KeysModule,
      imports: [SettingsModule.forRoot(settings), DatabaseModule.forRoot(), AccountsModule],
    };
  }
}

async function carryOut(
  command: Command,
  accounts: AccountsService,
  { PUBLIC_URL }: Settings,
): Promise<string> {
  switch (command.verb) {
    case 'create': {
      await accounts.createAccount(command.account);
      const { id, key } = await accounts.createKey(command.account, command.live);
      const advice = command.live && PUBLIC_URL === '' ? `\n\n${PUBLIC_URL_ADVICE}` : '';
      return `${key}\n\nThis is ${id} of account ${command.account}. It is not shown again: keep it now.${advice}`;
    }
    case 'list': {
      const keys = await accounts.listKeys(command.account);
      const rows = keys.map(({ id, livemode, hint, created, revoked }) => {
        const state = revoked === null ? '' : `  revoked ${revoked.toISOString()}`;
        return `${id}  sk_${livemode ? 'live' : 'test'}_…${hint}  created ${created.toISOString()}${state}`;
      });
      return rows.length > 0 ? rows.join('\n') : `Account ${command.account} has no keys.`;
    }
    case 'revoke': {
      const now = await accounts.revokeKey(command.account, command.key);
      return now ? `${command.key} is revoked.` : `${command.key} was revoked already.`;
    }
  }
}

/** @throws OperatorError with what is wrong and how it is used */
function parseCommand(args: string[]): Command {
  const { values, positionals } = parse(args);
  const [verb, ...rest] = positionals;
  if (verb !== 'create' && verb !== 'list' && verb !== 'revoke') {
    throw wrongUsage(verb === undefined ? 'Say what to do.' : `There is no "${verb}".`);
  }
  if (rest.length > 0) throw wrongUsage(`"${rest[0]}" is one word too many.`);
  const { account, live = false, key } = values;
  if (account === undefined) throw wrongUsage('--account NAME is missing.');
  if (live && verb !== 'create') throw wrongUsage('--live goes with create only.');
  if (key !== undefined && verb !== 'revoke') throw wrongUsage('--key goes with revoke only.');
  if (verb === 'create') return { verb, account, live };
  if (verb === 'list') return { verb, account };
  if (key === undefined) throw wrongUsage('--key ID is missing; list shows the ids.');
  return { verb, account, key };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        account: { type: 'string' },
        live: { type: 'boolean' },
        key: { type: 'string' },
      },
    });
  } catch (error) {
    throw wrongUsage((error as Error).message);
  }
}

function wrongUsage(reason: string): OperatorError {
  return new OperatorError(`${reason}\n\n${USAGE}`);
}
