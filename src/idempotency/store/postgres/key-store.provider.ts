/** The key store as a NestJS provider, on the application's DataSource. */
import type { FactoryProvider } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { RESOLVED_OPTIONS, type ResolvedOptions } from '../../contract/idempotency.options';
import { DatabaseClock } from '../database-clock';
import { KeyStore } from '../key.store';
import { joinAmbientTransaction } from './ambient-transaction';
import { dropReadOnlyConnections, surviveLostConnections } from './connection';
import { PostgresKeyStore } from './postgres-key.store';
import { recordErrorsOf } from './raised-errors';

export const postgresKeyStore: FactoryProvider<KeyStore> = {
  provide: KeyStore,
  inject: [DataSource, RESOLVED_OPTIONS, DatabaseClock],
  useFactory: (dataSource: DataSource, options: ResolvedOptions, clock: DatabaseClock) => {
    joinAmbientTransaction(dataSource);
    surviveLostConnections(dataSource);
    dropReadOnlyConnections(dataSource);
    recordErrorsOf(dataSource);
    return new PostgresKeyStore(dataSource, options.idleTransactionTimeoutMs, clock);
  },
};
