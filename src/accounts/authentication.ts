/** API key → account, decided from the head of a request, before anything is read of its body. */
import { Injectable } from '@nestjs/common';
import { AuthenticationError, PermissionError } from '../wire';
import { AccountsService } from './accounts.service';
import { inProcessPrincipal, type Principal, rememberPrincipal } from './principal';

/** What of a request says who is asking. */
export interface IncomingRequest {
  readonly url: string;
  /** Whether no route takes it. */
  readonly is404: boolean;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The route that takes it, e.g. `/v1/customers/:id`. */
  readonly routeOptions: { readonly url?: string | undefined };
}

@Injectable()
export class Authentication {
  constructor(private readonly accounts: AccountsService) {}

  /**
   * Finds the principal of a request under `/v1/`, of one that no route takes too: who has no key
   * learns nothing and has nothing read. Other paths need none.
   *
   * @throws AuthenticationError (401) without a valid key, PermissionError (403) for a connected
   * account
   */
  authenticate(request: IncomingRequest): Promise<void> | undefined {
    if (!isUnderV1(request)) return undefined;
    const inProcess = inProcessPrincipal();
    if (inProcess) {
      this.accept(request, inProcess);
      return undefined;
    }
    const key = apiKeyOf(request.headers.authorization);
    if (key === undefined) {
      throw new AuthenticationError(
        'No API key was sent: send it as "Authorization: Bearer sk_test_…", or as the user name of Basic authentication (curl -u sk_test_…:).',
      );
    }
    return this.accounts.authenticate(key).then((principal) => {
      if (principal === null) throw unknownKey(key);
      this.accept(request, principal);
    });
  }

  private accept(request: IncomingRequest, principal: Principal): void {
    if (request.headers['stripe-account'] !== undefined) {
      throw new PermissionError(
        'This key does not act for other accounts: leave out the Stripe-Account header (the stripeAccount option).',
      );
    }
    rememberPrincipal(request, principal);
  }
}

/** By the route where there is one: a path can be written in several ways. */
function isUnderV1({ is404, url, routeOptions }: IncomingRequest): boolean {
  const path = is404 ? url : (routeOptions.url ?? url);
  return /^\/v1(?:[/?]|$)/.test(path);
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

function unknownKey(key: string): AuthenticationError {
  return new AuthenticationError(
    `The API key ${redacted(key)} is unknown or was revoked: check it for missing characters, or make a new one (npm run keys -- create).`,
  );
}

/** Enough to recognise one's own key by, as in the list of keys. Nothing of what is not one. */
function redacted(key: string): string {
  const match = /^(sk_(?:test|live)_)[0-9A-Za-z]{8,}([0-9A-Za-z]{4})$/.exec(key);
  return match === null ? 'that was sent' : `${match[1]}…${match[2]}`;
}
