/** The PostgreSQL that comes with the package, for a start without settings. */
export { startEmbeddedPostgres } from './embedded-postgres';
