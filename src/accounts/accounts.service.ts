import { createHash, randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { OperatorError } from '../runtime';
import { newId } from '../wire';
import { AccountsStore } from './accounts.store';
import type { ApiKeyEntity } from './api-key.entity';
import { ApiKeyLookup } from './api-key-lookup';
import type { Principal } from './principal';

/**
 * Thrown with a sentence for the operator: a name that is not one, an account or key that is not
 * there.
 */
export class AccountsError extends OperatorError {}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** 62^43 is the first power above 2^256. */
const SECRET_LENGTH = 43;

const KEY_FORMAT = /^sk_(test|live)_[0-9A-Za-z]{43}$/;

export interface CreatedKey {
  /** `key_…` */
  readonly id: string;
  /** The key in clear text: shown here and never again. */
  readonly key: string;
}

/** Accounts and their API keys. */
@Injectable()
export class AccountsService {
  private readonly lookup = new ApiKeyLookup((hashes) => this.store.principalsOf(hashes));

  constructor(private readonly store: AccountsStore) {}

  /**
   * Makes an account unless it is there.
   * @returns true if it was made now
   * @throws AccountsError if the name is not 1 to 64 of `a-z 0-9 - _`
   */
  async createAccount(name: string): Promise<boolean> {
    if (!/^[a-z0-9_-]{1,64}$/.test(name)) {
      throw new AccountsError(
        `"${name}" cannot name an account: use 1 to 64 lower-case letters, digits, - and _.`,
      );
    }
    return this.store.insertAccount(name);
  }

  /** @throws AccountsError if there is no such account */
  async createKey(account: string, livemode: boolean): Promise<CreatedKey> {
    await this.mustExist(account);
    const key = `sk_${livemode ? 'live' : 'test'}_${base62(randomBytes(32))}`;
    const id = newId('key');
    await this.store.insertKey({ account, id, livemode, hash: sha256(key), hint: key.slice(-4) });
    return { id, key };
  }

  /** Oldest first, revoked ones included. @throws AccountsError if there is no such account */
  async listKeys(account: string): Promise<ApiKeyEntity[]> {
    await this.mustExist(account);
    return this.store.keysOf(account);
  }

  /**
   * From at most one second later no process accepts the key.
   * @returns false if it was revoked already
   * @throws AccountsError if the account has no such key
   */
  async revokeKey(account: string, id: string): Promise<boolean> {
    const revokedNow = await this.store.revokeKey(account, id);
    this.lookup.forget();
    if (revokedNow) return true;
    if (await this.store.keyExists(account, id)) return false;
    throw new AccountsError(`Account "${account}" has no key ${id}; \`list\` shows those it has.`);
  }

  /**
   * Who an API key stands for; null if it is not one, unknown or revoked. What was looked up serves
   * for a second.
   */
  authenticate(key: string): Promise<Principal | null> {
    if (!KEY_FORMAT.test(key)) return Promise.resolve(null);
    return this.lookup.principalOf(sha256(key).toString('base64'));
  }

  private async mustExist(account: string): Promise<void> {
    if (await this.store.accountExists(account)) return;
    throw new AccountsError(
      `There is no account "${account}"; \`create\` makes it with its first key.`,
    );
  }
}

function sha256(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

function base62(bytes: Buffer): string {
  let rest = BigInt(`0x${bytes.toString('hex')}`);
  let digits = '';
  while (digits.length < SECRET_LENGTH) {
    digits = BASE62.charAt(Number(rest % 62n)) + digits;
    rest /= 62n;
  }
  return digits;
}
