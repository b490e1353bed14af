import { type CanActivate, type ExecutionContext, Injectable, SetMetadata } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AuthenticationError, PermissionError } from '../wire';
import { AccountsService } from './accounts.service';
import { inProcessPrincipal, rememberPrincipal } from './principal';

const PUBLIC = 'paidonce:public';

/** Marks a controller or handler that answers without an API key. */
export const Public = () => SetMetadata(PUBLIC, true);

interface IncomingRequest {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/**
 * API key → account, for every route that is not `@Public()`. It comes before everything that
 * depends on who is asking, the look-up of a stored answer above all: a revoked key replays
 * nothing.
 */
@Injectable()
export class ApiKeyGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly accounts: AccountsService,
  ) {}

  /**
   * @throws AuthenticationError (401) without a valid key, PermissionError (403) for a connected
   * account
   */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const isPublic = this.reflector.getAllAndOverride<boolean | undefined>(PUBLIC, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (isPublic) return true;
    const request = context.switchToHttp().getRequest<IncomingRequest>();
    const principal = inProcessPrincipal() ?? (await this.authenticate(request));
    if (request.headers['stripe-account'] !== undefined) {
      throw new PermissionError(
        'This key does not act for other accounts: leave out the Stripe-Account header (the stripeAccount option).',
      );
    }
    rememberPrincipal(request, principal);
    return true;
  }

  private async authenticate(request: IncomingRequest) {
    const key = apiKeyOf(request.headers.authorization);
    if (key === undefined) {
      throw new AuthenticationError(
        'No API key was sent: send it as "Authorization: Bearer sk_test_…", or as the user name of Basic authentication (curl -u sk_test_…:).',
      );
    }
    const principal = await this.accounts.authenticate(key);
    if (principal === null) {
      throw new AuthenticationError(
        `The API key ${redacted(key)} is unknown or was revoked: check it for missing characters, or make a new one (npm run keys -- create).`,
      );
    }
    return principal;
  }
}

/** The key of a Bearer or Basic header (there the user name; a password is ignored). */
function apiKeyOf(header: string | string[] | undefined): string | undefined {
  const match = /^(bearer|basic) +(\S+) *$/i.exec(typeof header === 'string' ? header : '');
  if (match === null) return undefined;
  const [, scheme = '', credentials = ''] = match;
  if (scheme.toLowerCase() === 'bearer') return credentials;
  const user = Buffer.from(credentials, 'base64').toString('utf8').split(':', 1)[0];
  return user === '' ? undefined : user;
}

/** Enough to recognise one's own key by, as in the list of keys. Nothing of what is not one. */
function redacted(key: string): string {
  const match = /^(sk_(?:test|live)_)[0-9A-Za-z]{8,}([0-9A-Za-z]{4})$/.exec(key);
  return match === null ? 'that was sent' : `${match[1]}…${match[2]}`;
}
