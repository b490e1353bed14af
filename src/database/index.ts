/** The data source and its migrations, and the base of entities and repositories. */
export { DatabaseModule } from './database.module';
export { openDatabase } from './opening';
export { lockTables } from './table-lock';
export { TenantEntity, type Tenant } from './tenant.entity';
export * from './tenant.repository';
