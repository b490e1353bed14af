/** Who sent a request (R3): the scope of its key. */
import { IdempotencyScopeMissingError } from '../contract/idempotency.errors';
import type {
  HttpRequest,
  IdempotencyScope,
  ResolvedOptions,
} from '../contract/idempotency.options';

/**
 * Asks the application's scope resolver.
 *
 * @throws IdempotencyScopeMissingError when authentication left no account on the request
 */
export function scopeOf(
  request: HttpRequest,
  options: Pick<ResolvedOptions, 'scope'>,
): Required<IdempotencyScope> {
  const scope = options.scope(request);
  const { account, mode = '' } = typeof scope === 'object' ? scope : { account: scope };
  if (!account) throw new IdempotencyScopeMissingError();
  return { account, mode };
}
