/** Who a request acts for: set by the authentication, read by everything after it. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Tenant } from '../database';

export interface Principal extends Tenant {
  /** Id (`key_…`) of the API key, never the key itself. */
  readonly apiKey: string;
}

const principals = new WeakMap<object, Principal>();
const inProcess = new AsyncLocalStorage<Principal>();

/**
 * The principal of a request that is authenticated; undefined on public routes and before that.
 */
export function principalOf(request: object): Principal | undefined {
  return principals.get(request);
}

/** For the authentication alone. */
export function rememberPrincipal(request: object, principal: Principal): void {
  principals.set(request, principal);
}

/**
 * Runs `work` as a principal without an API key: requests injected into the application inside it,
 * and awaited there, are authenticated. Nothing that arrives on a socket runs inside it.
 */
export function runAs<T>(principal: Principal, work: () => Promise<T>): Promise<T> {
  return inProcess.run(principal, work);
}

/** For the authentication alone: the principal of the surrounding `runAs`. */
export function inProcessPrincipal(): Principal | undefined {
  return inProcess.getStore();
}

/** Parameter decorator: the account and mode a request acts for. */
export const CurrentTenant = createParamDecorator(
  (_: unknown, context: ExecutionContext): Tenant => {
    const principal = principalOf(context.switchToHttp().getRequest<object>());
    if (principal === undefined)
      throw new Error('@CurrentTenant() on a route without authentication');
    return principal;
  },
);
