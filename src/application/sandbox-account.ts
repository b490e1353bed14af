/** The account of a first start, so that the first request needs nothing but a copied line. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AccountsService } from '../accounts';
import type { Settings } from '../runtime';

const NAME = 'sandbox';

export interface SandboxKey {
  readonly key: string;
  /** Where the key stays readable; undefined: it is shown now and never again. */
  readonly file?: string;
}

/**
 * Makes the account `sandbox` with a key if this is the first start. On the embedded database the
 * key's clear text stays in a file beside it that only its owner can read, so that every start can
 * show it. With a database of one's own nothing of it is kept, and only the start that made the
 * account knows the key.
 */
export async function sandboxKey(
  accounts: AccountsService,
  settings: Settings,
  embedded: boolean,
): Promise<SandboxKey | undefined> {
  if (!embedded) {
    const isFirstStart = await accounts.createAccount(NAME);
    return isFirstStart ? { key: (await accounts.createKey(NAME, false)).key } : undefined;
  }
  const file = join(settings.DATA_DIR, 'sandbox.key');
  if (existsSync(file)) {
    const key = readFileSync(file, 'utf8').trim();
    return (await accounts.authenticate(key)) === null ? undefined : { key, file };
  }
  await accounts.createAccount(NAME);
  const { key } = await accounts.createKey(NAME, false);
  writeFileSync(file, `${key}\n`, { mode: 0o600 });
  return { key, file };
}
