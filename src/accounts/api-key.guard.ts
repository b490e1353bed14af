/** Lets a handler run only for a principal: nothing is reached past the authentication by mistake. */
import { type CanActivate, type ExecutionContext, Injectable, SetMetadata } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AuthenticationError } from '../wire';
import { principalOf } from './principal';

const PUBLIC = 'paidonce:public';

/** Marks a controller or handler that answers without an API key. */
export const Public = () => SetMetadata(PUBLIC, true);

/**
 * For every handler that is not `@Public()`. The authentication has found the principal before the
 * body was read (`authentication.ts`); it does so for paths under `/v1/` alone.
 */
@Injectable()
export class ApiKeyGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  /** @throws AuthenticationError (401) where there is no principal */
  canActivate(context: ExecutionContext): boolean {
    const isPublic = this.reflector.getAllAndOverride<boolean | undefined>(PUBLIC, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (isPublic || principalOf(context.switchToHttp().getRequest<object>())) return true;
    throw new AuthenticationError('Nobody is authenticated here: this path is not under /v1/.');
  }
}
