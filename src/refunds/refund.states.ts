/** The states of a refund, and the one that can be cancelled. Pure. */
import { InvalidRequestError } from '../wire';

/**
 * `pending` while the acquirer's outcome is not known; `requires_action` while somebody has to act before
 * money moves, which no card of the sandbox asks for.
 */
export const REFUND_STATUSES = [
  'pending',
  'requires_action',
  'succeeded',
  'failed',
  'canceled',
] as const;
export type RefundStatus = (typeof REFUND_STATUSES)[number];

/** The only status in which certainly no money has moved and none will. */
export const CANCELLABLE: RefundStatus = 'requires_action';

/** Makes the error that says why a refund in this status cannot be cancelled. */
export function cancelRefusal(id: string, status: RefundStatus): InvalidRequestError {
  const why: Readonly<Record<RefundStatus, string>> = {
    pending: 'the acquirer is working on it',
    requires_action: 'it is being changed by another request',
    succeeded: 'the money was paid back',
    failed: 'it failed, and no money moved',
    canceled: 'it was canceled before',
  };
  return new InvalidRequestError(
    `You cannot cancel the refund ${id} because it has a status of ${status}: ${why[status]}. Only a ` +
      `refund with a status of ${CANCELLABLE} can be canceled.`,
    { code: 'status_transition_invalid' },
  );
}
