/** The PostgreSQL that comes with the package, for a start without settings. */
export { EmbeddedPostgresError } from './binaries';
export {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
} from './embedded-postgres';
