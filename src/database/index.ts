/** The database: data source and migrations, and the rows of a tenant. */
export { DatabaseModule } from './database.module';
export { OneCollation1764000006000 } from './one-collation.migration';
export { DatabaseUnavailableError, openDatabase, type OpenDatabase } from './opening';
export { TenantEntity, type Tenant } from './tenant.entity';
export * from './tenant.repository';
