/** Creates the application on Fastify, for the HTTP process and the worker. */
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Authentication } from '../accounts';
import { AppModule } from '../app.module';
import { errorLinks, serveDocs, serveErrorPage } from '../openapi';
import { Log, PublicUrl, type Settings } from '../runtime';
import { configureWire, wireServerOptions } from '../wire';

/** A request must have arrived in full after this long, ms. */
const REQUEST_TIMEOUT_MS = 60_000;

/** The whole application on Fastify, neither initialised nor listening yet. */
export async function createApplication(settings: Settings): Promise<NestFastifyApplication> {
  const publicUrl = new PublicUrl(settings);
  const errorLink = errorLinks(publicUrl);
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.with(settings, publicUrl),
    new FastifyAdapter({
      ...wireServerOptions(errorLink),
      bodyLimit: settings.BODY_LIMIT_BYTES,
      requestTimeout: REQUEST_TIMEOUT_MS,
    }),
    // The process prints errors of the start, as one sentence.
    { logger: new Log(settings.LOG_LEVEL), abortOnError: false, bodyParser: false, rawBody: true },
  );
  const authentication = app.get(Authentication);
  configureWire(app, {
    bodyLimitBytes: settings.BODY_LIMIT_BYTES,
    authenticate: (request) => authentication.authenticate(request),
  });
  serveErrorPage(app);
  if (settings.DOCS === 'on') serveDocs(app);
  return app;
}
