/** The profiles of the conformance kit: what the draft, paidonce's protocol and Stripe's API each ask of a server. */

export type ProfileName = 'draft' | 'paidonce' | 'stripe';

export interface Profile {
  readonly name: ProfileName;
  /** Whether keys are sent as quoted strings, as the draft has them. */
  readonly quotesKeys: boolean;
  /** Statuses for a key that was used for another request. The config may name others. */
  readonly reused: readonly number[];
  /** What error bodies are: RFC 9457 problem details, or Stripe's envelope. */
  readonly errors: 'problem' | 'envelope';
  /** Whether an error may lead to no page about it. */
  readonly linkIsOptional: boolean;
  /** Whether replays say that they are replays. */
  readonly marksReplays: boolean;
  /** Whether a refusal of a copy says when to try again. */
  readonly saysWhenToRetry: boolean;
}

export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  draft: {
    name: 'draft',
    quotesKeys: true,
    reused: [422],
    errors: 'problem',
    linkIsOptional: false,
    marksReplays: false,
    saysWhenToRetry: false,
  },
  paidonce: {
    name: 'paidonce',
    quotesKeys: false,
    reused: [422],
    errors: 'problem',
    linkIsOptional: true,
    marksReplays: true,
    saysWhenToRetry: true,
  },
  stripe: {
    name: 'stripe',
    quotesKeys: false,
    reused: [400, 409],
    errors: 'envelope',
    linkIsOptional: false,
    marksReplays: true,
    saysWhenToRetry: false,
  },
};

export function isProfileName(name: string | undefined): name is ProfileName {
  return name !== undefined && Object.hasOwn(PROFILES, name);
}
