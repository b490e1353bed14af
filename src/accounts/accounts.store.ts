/** The SQL of accounts and API keys. */
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Any, IsNull, type Repository } from 'typeorm';
import { AccountEntity } from './account.entity';
import { ApiKeyEntity } from './api-key.entity';
import type { Principal } from './principal';

/** Reads and writes the tables `accounts` and `api_keys`; no other file knows them. */
@Injectable()
export class AccountsStore {
  constructor(
    @InjectRepository(AccountEntity) private readonly accounts: Repository<AccountEntity>,
    @InjectRepository(ApiKeyEntity) private readonly keys: Repository<ApiKeyEntity>,
  ) {}

  /** @returns false if the account exists already */
  async insertAccount(account: string): Promise<boolean> {
    const insert = this.accounts.createQueryBuilder().insert().values({ account }).orIgnore();
    const { raw } = await insert.returning('account').execute();
    return (raw as unknown[]).length === 1;
  }

  accountExists(account: string): Promise<boolean> {
    return this.accounts.existsBy({ account });
  }

  async insertKey(key: Pick<ApiKeyEntity, 'account' | 'id' | 'livemode' | 'hash' | 'hint'>) {
    await this.keys.insert(key);
  }

  /** All keys of an account, oldest first, revoked ones included. */
  keysOf(account: string): Promise<ApiKeyEntity[]> {
    return this.keys.find({ where: { account }, order: { created: 'ASC', id: 'ASC' } });
  }

  /** Whether any account has a live key that is not revoked. */
  hasLiveKeys(): Promise<boolean> {
    return this.keys.existsBy({ livemode: true, revoked: IsNull() });
  }

  keyExists(account: string, id: string): Promise<boolean> {
    return this.keys.existsBy({ account, id });
  }

  /**
   * The principals of keys, by hash, in one statement. Unknown and revoked keys have no entry.
   *
   * @param hashes SHA-256 of each key, base64
   */
  async principalsOf(hashes: readonly string[]): Promise<Map<string, Principal>> {
    const hash = Any(hashes.map((text) => Buffer.from(text, 'base64')));
    const rows = await this.keys.findBy({ hash, revoked: IsNull() });
    return new Map(
      rows.map(({ account, livemode, id, hash: stored }) => [
        stored.toString('base64'),
        { account, livemode, apiKey: id },
      ]),
    );
  }

  /** @returns false if the key does not exist or was revoked already */
  async revokeKey(account: string, id: string): Promise<boolean> {
    const valid = { account, id, revoked: IsNull() };
    const { affected } = await this.keys.update(valid, { revoked: () => 'now()' });
    return affected === 1;
  }
}
