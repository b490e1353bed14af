/** Accounts and their API keys. */
import { createHash, randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { OperatorError } from '../runtime';
import { newId } from '../wire';
import { AccountsStore } from './accounts.store';
import type { ApiKeyEntity } from './api-key.entity';
import { ApiKeyLookup } from './api-key-lookup';
import type { Principal } from './principal';

/** An invalid account name, or an account or key that does not exist. Its message is for the operator. */
export class AccountsError extends OperatorError {}

const SECRET_ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** 62^43 is the first power of 62 above 2^256. */
const SECRET_LENGTH = 43;

const KEY_FORMAT = /^sk_(test|live)_[0-9A-Za-z]{43}$/;

export interface CreatedKey {
  /** `key_…` */
  readonly id: string;
  /** The key itself. It is not stored, so it can be shown only now. */
  readonly key: string;
}

/** Creates accounts, creates and revokes their API keys, and authenticates keys. */
@Injectable()
export class AccountsService {
  private readonly lookup = new ApiKeyLookup((hashes) => this.store.principalsOf(hashes));

  constructor(private readonly store: AccountsStore) {}

  /**
   * Creates an account unless it exists.
   *
   * @returns true if it was created now
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

  /**
   * Creates an API key.
   *
   * @throws AccountsError if the account does not exist
   */
  async createKey(account: string, livemode: boolean): Promise<CreatedKey> {
    await this.requireAccount(account);
    const key = `sk_${livemode ? 'live' : 'test'}_${secretOf(randomBytes(32))}`;
    const id = newId('key');
    await this.store.insertKey({ account, id, livemode, hash: sha256(key), hint: key.slice(-4) });
    return { id, key };
  }

  /**
   * All keys of an account, oldest first, revoked ones included.
   *
   * @throws AccountsError if the account does not exist
   */
  async listKeys(account: string): Promise<ApiKeyEntity[]> {
    await this.requireAccount(account);
    return this.store.keysOf(account);
  }

  /** Whether any account has a live key that is not revoked. */
  hasLiveKeys(): Promise<boolean> {
    return this.store.hasLiveKeys();
  }

  /**
   * Revokes a key. After at most one second no process accepts it.
   *
   * @returns false if it was revoked already
   * @throws AccountsError if the account has no such key
   */
  async revokeKey(account: string, id: string): Promise<boolean> {
    const revokedNow = await this.store.revokeKey(account, id);
    this.lookup.clearCache();
    if (revokedNow) return true;
    if (await this.store.keyExists(account, id)) return false;
    throw new AccountsError(`Account "${account}" has no key ${id}; \`list\` shows those it has.`);
  }

  /**
   * The principal of an API key; null if the key is malformed, unknown or revoked. The result is cached
   * for one second.
   */
  authenticate(key: string): Promise<Principal | null> {
    if (!KEY_FORMAT.test(key)) return Promise.resolve(null);
    return this.lookup.principalOf(sha256(key).toString('base64'));
  }

  private async requireAccount(account: string): Promise<void> {
    if (await this.store.accountExists(account)) return;
    throw new AccountsError(
      `There is no account "${account}"; \`create\` makes it with its first key.`,
    );
  }
}

function sha256(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

function secretOf(bytes: Buffer): string {
  let rest = BigInt(`0x${bytes.toString('hex')}`);
  let digits = '';
  while (digits.length < SECRET_LENGTH) {
    digits = SECRET_ALPHABET.charAt(Number(rest % 62n)) + digits;
    rest /= 62n;
  }
  return digits;
}
