/** The database: data source and migrations, rows of a tenant, and the embedded PostgreSQL. */
export {
  EmbeddedPostgresError,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
} from './embedded';
export { DatabaseModule } from './database.module';
export { OneCollation1764000006000 } from './one-collation.migration';
export { DatabaseUnavailableError, openDatabase, type OpenDatabase } from './database.opening';
export { TenantEntity, type Tenant } from './tenant.entity';
export * from './tenant.repository';
