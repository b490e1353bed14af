/** Refuses a handler that is not public where `authentication.ts` has set no principal. */
import { type CanActivate, type ExecutionContext, Injectable, SetMetadata } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AuthenticationError } from '../wire';
import { principalOf } from './principal';

const PUBLIC = 'paidonce:public';

/** Marks a controller or handler that needs no API key. */
export const Public = () => SetMetadata(PUBLIC, true);

/**
 * Guards every handler that is not `@Public()`. The principal was set before the body was read, for paths
 * under `/v1/` only (`authentication.ts`).
 */
@Injectable()
export class PrincipalGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  /** @throws AuthenticationError (401) for a request without a principal */
  canActivate(context: ExecutionContext): boolean {
    const isPublic = this.reflector.getAllAndOverride<boolean | undefined>(PUBLIC, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (isPublic || principalOf(context.switchToHttp().getRequest<object>())) return true;
    throw new AuthenticationError('Nobody is authenticated here: this path is not under /v1/.');
  }
}
