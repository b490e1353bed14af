/** The providers of the wire format: those that other modules use, and those of a whole application. */
import { Global, Module, type Provider } from '@nestjs/common';
import { APP_FILTER, APP_PIPE } from '@nestjs/core';
import { WireErrorFilter } from './errors/error.filter';
import type { ErrorLink } from './errors/error-table';
import type { ReusedStatus } from './errors/idempotency-error.wire';
import { WireValidationPipe } from './params/validation.pipe';
import { Expander } from './response/expander';

@Global()
@Module({ providers: [Expander], exports: [Expander] })
export class WireModule {}

/**
 * The pipe that checks parameters and the filter that formats errors, for every route of an application. Put
 * them into the providers of its root module.
 *
 * @param errorLink makes `doc_url`; by default errors have none
 * @param reusedStatus the status of a reused idempotency key
 */
export function wireProviders(errorLink?: ErrorLink, reusedStatus?: ReusedStatus): Provider[] {
  return [
    { provide: APP_PIPE, useClass: WireValidationPipe },
    { provide: APP_FILTER, useValue: new WireErrorFilter(errorLink, reusedStatus) },
  ];
}
