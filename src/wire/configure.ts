/** Makes a Nest application on Fastify speak the wire format. */
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyRequest } from 'fastify';
import { WireErrorFilter } from './errors/error.filter';
import type { ReusedStatus } from './errors/idempotency-error.wire';
import { WireValidationPipe } from './params/validation.pipe';
import { sendContinue, limitChunks, discardUnreadBody } from './request/body-arrival';
import { readUrl, checkHead } from './request/request-head';
import { readBody } from './request/request-reader';
import { RouteTable } from './request/route-table';
import { setHeaders } from './response/response-headers';
import { newId } from './schema/ids';

export interface WireOptions {
  /** Largest body accepted, in bytes. */
  readonly bodyLimitBytes: number;
  /** Status of a reused idempotency key where an `IdempotencyError` reaches the filter. */
  readonly reusedStatus?: ReusedStatus;
  /**
   * Finds out who is asking, before anything is read of the body. What it throws is the answer.
   * Without it nobody is asked.
   */
  readonly authenticate?: (request: FastifyRequest) => Promise<void> | undefined;
}

/**
 * Makes an application speak the wire format: how bodies and queries are read, checked and refused,
 * how errors look, and the headers every answer has. Call it before `app.init()` or `app.listen()`.
 */
export function configureWire(app: NestFastifyApplication, options: WireOptions): void {
  const routes = new RouteTable();
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('onRoute', ({ method, url }) => routes.add(method, url));
  fastify.setGenReqId(() => newId('req'));
  // Everything that can be refused without the body is refused here, before it is read.
  fastify.addHook('onRequest', (request, reply, done) => {
    setHeaders(request, reply);
    const goOn = () => done(thrownBy(() => readUrl(request, routes)));
    let asked: Promise<void> | undefined;
    const refused = thrownBy(() => {
      checkHead(request);
      asked = options.authenticate?.(request);
    });
    if (refused) done(refused);
    else if (asked) asked.then(goOn, done);
    else goOn();
  });
  fastify.addHook('preParsing', (request, reply, _payload, done) => {
    sendContinue(request, reply);
    limitChunks(request);
    done();
  });
  fastify.addHook('onSend', (request, reply, payload, done) => {
    // Answers that other hooks gave before ours could run have their headers from here.
    setHeaders(request, reply);
    discardUnreadBody(request, reply);
    done(null, payload);
  });
  // Fastify's own parsers go first: they would read JSON and plain text past the checks.
  fastify.removeAllContentTypeParsers();
  app.useBodyParser('*', { bodyLimit: options.bodyLimitBytes }, (request, body, done) => {
    try {
      done(null, readBody(body, request.headers));
    } catch (error) {
      done(error as Error);
    }
  });
  app.useGlobalPipes(new WireValidationPipe());
  app.useGlobalFilters(new WireErrorFilter(options.reusedStatus));
}

/** The error that `work` throws, if it does. */
function thrownBy(work: () => void): Error | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return error as Error;
  }
}
