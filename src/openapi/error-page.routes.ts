/** `GET /docs/errors`, which explains every error to anybody, and the links that lead there (R24). */
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { PublicUrl } from '../runtime';
import type { ErrorLink } from '../wire';
import { ERROR_PAGE_POLICY, errorPage } from './error-page';
import { SharedFile } from './shared-file';

const PATH = '/docs/errors';

const PAGE_HEADERS = {
  'content-security-policy': ERROR_PAGE_POLICY,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/** Makes `doc_url`: the code's or the type's section of the page. */
export function errorLinks(publicUrl: PublicUrl): ErrorLink {
  return (name) => publicUrl.linkTo(`${PATH}#${name}`);
}

/** Serves the page, whatever `DOCS` says: errors link to it. Call it before `app.init()`. */
export function serveErrorPage(app: NestFastifyApplication): void {
  let file: Promise<SharedFile> | undefined;
  app
    .getHttpAdapter()
    .getInstance()
    .get(PATH, async (request, reply) => {
      file ??= SharedFile.create('text/html; charset=utf-8', Buffer.from(errorPage()));
      return (await file).send(request, reply.headers(PAGE_HEADERS));
    });
}
