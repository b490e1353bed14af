/** The database: data source and migrations, rows of a tenant, and the embedded PostgreSQL. */
export {
  EmbeddedPostgresError,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
} from './embedded';
export { DatabaseModule } from './database.module';
export { DatabaseUnavailableError, openDatabase, type OpenDatabase } from './database.opening';
export { TenantEntity, type Tenant } from './tenant.entity';
export * from './tenant.repository';
