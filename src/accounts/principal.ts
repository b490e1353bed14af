/** The principal of a request: set by the authentication, read by everything after it. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Tenant } from '../database';

/** The account and mode that a request acts for, and its API key. */
export interface Principal extends Tenant {
  /** The id (`key_…`) of the API key, never the key itself. */
  readonly apiKey: string;
}

/** A property of Fastify's request, which Nest hands to guards, interceptors and handlers too. */
const PRINCIPAL = Symbol('paidonce:principal');
interface WithPrincipal {
  [PRINCIPAL]?: Principal;
}

/**
 * The principal of the surrounding `runAs`. It is ambient because Fastify makes the object of an injected
 * request itself, and a header could be sent by a client.
 */
const principalInside = new AsyncLocalStorage<Principal>();

/** The principal of a request; undefined on public routes and before the authentication. */
export function principalOf(request: object): Principal | undefined {
  return (request as WithPrincipal)[PRINCIPAL];
}

/** Sets the principal of a request. Only the authentication calls it. */
export function setPrincipal(request: object, principal: Principal): void {
  (request as WithPrincipal)[PRINCIPAL] = principal;
}

/**
 * Runs `work` as a principal, without an API key. Requests that it injects into the application and
 * awaits are authenticated as this principal. Requests from sockets never run inside it.
 */
export function runAs<T>(principal: Principal, work: () => Promise<T>): Promise<T> {
  return principalInside.run(principal, work);
}

/** The principal of the surrounding `runAs`, if any. Only the authentication calls it. */
export function principalOfRunAs(): Principal | undefined {
  return principalInside.getStore();
}

/** A parameter of a handler: the account and mode that the request acts for. */
export const CurrentTenant = createParamDecorator(
  (_: unknown, context: ExecutionContext): Tenant => {
    const principal = principalOf(context.switchToHttp().getRequest<object>());
    if (principal === undefined)
      throw new Error('@CurrentTenant() on a route without authentication');
    return principal;
  },
);
