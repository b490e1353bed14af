/** What runs below the application: the HTTP server and its limits. */
export { hasUnanswered, isHeldBack } from './connection-queue';
export { createHttpServer } from './server-factory';
