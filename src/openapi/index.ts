/** The OpenAPI document of the API, and a page that shows it. */
export { serveDocs } from './docs.routes';
export { errorLinks, serveErrorPage } from './error-page.routes';
