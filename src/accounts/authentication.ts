/** Authenticates a request by the API key in its head, before its body is read. */
import { Injectable } from '@nestjs/common';
import { API_PATH, AuthenticationError, PermissionError } from '../wire';
import { AccountsService } from './accounts.service';
import { principalOfRunAs, type Principal, setPrincipal } from './principal';

/** The parts of a Fastify request that authentication reads. */
export interface RequestHead {
  readonly url: string;
  /** Whether it has no route. */
  readonly is404: boolean;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Its route, e.g. `/v1/customers/:id`. */
  readonly routeOptions: { readonly url?: string | undefined };
}

/** Decides for each request which account and mode it acts for. */
@Injectable()
export class Authentication {
  constructor(private readonly accounts: AccountsService) {}

  /**
   * Sets the principal of a request under `/v1/`, even of one without a route: without a valid key a
   * client learns nothing, and its body is not read. Other paths need no key.
   *
   * @throws AuthenticationError (401) without a valid key
   * @throws PermissionError (403) for a request on behalf of a connected account
   */
  authenticate(request: RequestHead): Promise<void> | undefined {
    if (!isUnderV1(request)) return undefined;
    const key = apiKeyOf(request.headers.authorization);
    if (key === undefined) {
      const inside = principalOfRunAs();
      if (inside) return this.accept(request, inside);
      throw new AuthenticationError(
        'No API key was sent: send it as "Authorization: Bearer sk_test_…", or as the user name of Basic authentication (curl -u sk_test_…:).',
      );
    }
    return this.accounts.authenticate(key).then((principal) => {
      if (principal === null) throw unknownKeyError(key);
      this.accept(request, principal);
    });
  }

  private accept(request: RequestHead, principal: Principal): undefined {
    if (request.headers['stripe-account'] !== undefined) {
      throw new PermissionError(
        'This key does not act for other accounts: leave out the Stripe-Account header (the stripeAccount option).',
      );
    }
    setPrincipal(request, principal);
  }
}

/** By the route if there is one, since a path can be written in several ways. */
function isUnderV1({ is404, url, routeOptions }: RequestHead): boolean {
  const path = is404 ? url : (routeOptions.url ?? url);
  return path === API_PATH || path.startsWith(`${API_PATH}/`) || path.startsWith(`${API_PATH}?`);
}

/** The key in an Authorization header: the Bearer token, or the user name of Basic. */
function apiKeyOf(header: string | string[] | undefined): string | undefined {
  const match = /^(bearer|basic) +(\S+) *$/i.exec(typeof header === 'string' ? header : '');
  if (match === null) return undefined;
  const [, scheme = '', credentials = ''] = match;
  if (scheme.toLowerCase() === 'bearer') return credentials;
  const user = Buffer.from(credentials, 'base64').toString('utf8').split(':', 1)[0];
  return user === '' ? undefined : user;
}

function unknownKeyError(key: string): AuthenticationError {
  return new AuthenticationError(
    `The API key ${redact(key)} is unknown or was revoked: check it for missing characters, or make a new one (npm run keys -- create).`,
  );
}

/** A key without its middle, as the list of keys shows it. Text that is not a key is left out. */
function redact(key: string): string {
  const match = /^(sk_(?:test|live)_)[0-9A-Za-z]{8,}([0-9A-Za-z]{4})$/.exec(key);
  return match === null ? 'that was sent' : `${match[1]}…${match[2]}`;
}
