import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Any, IsNull, type Repository } from 'typeorm';
import { AccountEntity } from './account.entity';
import { ApiKeyEntity } from './api-key.entity';
import type { Principal } from './principal';

/** Rows of accounts and keys; the only place that knows their tables. */
@Injectable()
export class AccountsStore {
  constructor(
    @InjectRepository(AccountEntity) private readonly accounts: Repository<AccountEntity>,
    @InjectRepository(ApiKeyEntity) private readonly keys: Repository<ApiKeyEntity>,
  ) {}

  /** @returns false if the account was there already */
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

  /** Oldest first, revoked ones included. */
  keysOf(account: string): Promise<ApiKeyEntity[]> {
    return this.keys.find({ where: { account }, order: { created: 'ASC', id: 'ASC' } });
  }

  keyExists(account: string, id: string): Promise<boolean> {
    return this.keys.existsBy({ account, id });
  }

  /**
   * Who valid keys stand for, in one statement.
   *
   * @param hashes SHA-256 of each key, base64; a key that is unknown or revoked has no entry
   */
  async principalsOf(hashes: readonly string[]): Promise<Map<string, Principal>> {
    const hash = Any(hashes.map((text) => Buffer.from(text, 'base64')));
    const rows = await this.keys.findBy({ hash, revoked: IsNull() });
    return new Map(
      rows.map(({ account, livemode, id, hash: found }) => [
        found.toString('base64'),
        { account, livemode, apiKey: id },
      ]),
    );
  }

  /** @returns false if there was no such key left to revoke */
  async revokeKey(account: string, id: string): Promise<boolean> {
    const valid = { account, id, revoked: IsNull() };
    const { affected } = await this.keys.update(valid, { revoked: () => 'now()' });
    return affected === 1;
  }
}
