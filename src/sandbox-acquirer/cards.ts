/** The cards of the sandbox, by the X of its tokens (`pm_card_X`, `pm_card_visa_X`, `tok_X`). */

/** A card, and the result when it is charged. */
export interface SandboxCard {
  /** Brand as payment methods spell it: lower case. */
  readonly brand: string;
  readonly last4: string;
  readonly funding: 'credit' | 'debit' | 'prepaid';
  /** Absent on cards that are approved. */
  readonly decline?: CardDecline;
}

export interface CardDecline {
  readonly code: string;
  readonly declineCode: string | null;
  readonly message: string;
}

function decliningCard(last4: string, code: string, declineCode: string | null, message: string) {
  return {
    brand: 'visa',
    last4,
    funding: 'credit',
    decline: { code, declineCode, message },
  } as const;
}

function cardDeclined(last4: string, declineCode: string, message: string) {
  return decliningCard(last4, 'card_declined', declineCode, message);
}

const GENERIC = 'Your card was declined. Ask the buyer for another card.';

const cards: Readonly<Record<string, SandboxCard>> = {
  visa: { brand: 'visa', last4: '4242', funding: 'credit' },
  visa_debit: { brand: 'visa', last4: '5556', funding: 'debit' },
  mastercard: { brand: 'mastercard', last4: '4444', funding: 'credit' },
  mastercard_debit: { brand: 'mastercard', last4: '3222', funding: 'debit' },
  mastercard_prepaid: { brand: 'mastercard', last4: '5100', funding: 'prepaid' },
  amex: { brand: 'amex', last4: '8431', funding: 'credit' },
  discover: { brand: 'discover', last4: '9424', funding: 'credit' },
  diners: { brand: 'diners', last4: '3237', funding: 'credit' },
  jcb: { brand: 'jcb', last4: '0505', funding: 'credit' },
  unionpay: { brand: 'unionpay', last4: '0005', funding: 'credit' },
  chargeDeclined: cardDeclined('0002', 'generic_decline', GENERIC),
  chargeDeclinedInsufficientFunds: cardDeclined(
    '9995',
    'insufficient_funds',
    'Your card has insufficient funds. Ask the buyer for another card.',
  ),
  chargeDeclinedLostCard: cardDeclined('9987', 'lost_card', GENERIC),
  chargeDeclinedStolenCard: cardDeclined('9979', 'stolen_card', GENERIC),
  chargeDeclinedExpiredCard: decliningCard(
    '0069',
    'expired_card',
    null,
    'Your card has expired. Ask the buyer for another card.',
  ),
  chargeDeclinedIncorrectCvc: decliningCard(
    '0127',
    'incorrect_cvc',
    null,
    "Your card's security code is incorrect. Ask the buyer to enter it again.",
  ),
  chargeDeclinedProcessingError: decliningCard(
    '0119',
    'processing_error',
    null,
    'An error occurred while processing your card. Try again in a little while.',
  ),
  authenticationRequired: decliningCard(
    '3184',
    'authentication_required',
    'authentication_required',
    'Your card was declined. This transaction requires the buyer to authenticate.',
  ),
};

/** The names of the sandbox's cards. */
export const sandboxCardNames: readonly string[] = Object.keys(cards);

/** The sandbox card of that name, if there is one. */
export function sandboxCard(name: string): SandboxCard | undefined {
  return Object.hasOwn(cards, name) ? cards[name] : undefined;
}
