/** The API described: the OpenAPI document and a page to read it on. */
export { serveDocs } from './docs.routes';
export { errorLinks, serveErrorPage } from './error-page.routes';
