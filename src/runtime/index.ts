/** What runs below the application: the HTTP server and its limits. */
export { hasUnanswered } from './connection-queue';
export { createHttpServer } from './server-factory';
