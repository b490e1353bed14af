/** The routes of the OpenAPI document and of the page that shows it. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { SharedFile } from './shared-file';

/** The files of swagger-ui that the page loads: name → `Content-Type`. */
const ASSETS: Readonly<Record<string, string>> = {
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'swagger-ui.css': 'text/css; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>paidonce API</title>
    <link rel="icon" type="image/png" href="/docs/favicon-32x32.png" />
    <link rel="stylesheet" href="/docs/swagger-ui.css" />
  </head>
  <body style="margin: 0">
    <div id="page"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script>
      // Without a validator the page loads nothing from other servers.
      SwaggerUIBundle({
        url: '/openapi.json',
        dom_id: '#page',
        deepLinking: true,
        docExpansion: 'list',
        defaultModelsExpandDepth: 0,
        validatorUrl: null,
      });
    </script>
  </body>
</html>
`;

/**
 * Serves `GET /openapi.json` and the page `GET /docs`, without an API key. The document is built, and the
 * code that builds it is loaded, at the first request: this takes a quarter of a second, which the start
 * saves. Call it before `app.init()`.
 */
export function serveDocs(app: NestFastifyApplication): void {
  const fastify = app.getHttpAdapter().getInstance();
  const serve = (path: string, load: () => Promise<SharedFile>) => {
    let file: Promise<SharedFile> | undefined;
    fastify.get(path, async (request, reply) => {
      file ??= load();
      file.catch(() => (file = undefined));
      return (await file).send(request, reply);
    });
  };
  serve('/openapi.json', () => {
    const document = JSON.stringify(loadBuilder().buildDocument(app));
    return SharedFile.create('application/json; charset=utf-8', Buffer.from(document));
  });
  for (const path of ['/docs', '/docs/']) {
    serve(path, () => SharedFile.create('text/html; charset=utf-8', Buffer.from(PAGE)));
  }
  for (const [name, type] of Object.entries(ASSETS)) {
    serve(`/docs/${name}`, async () => {
      const directory = dirname(require.resolve('swagger-ui-dist/package.json'));
      return SharedFile.create(type, await readFile(join(directory, name)));
    });
  }
}

function loadBuilder(): typeof import('./document') {
  return require('./document') as typeof import('./document');
}
