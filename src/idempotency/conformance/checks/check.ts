/** A check of the conformance kit: its name, the rule it is about, and the verdict it comes to. */
import type { Reply } from '../probe/bounded-request';
import type { ProfileName } from '../probe/profiles';
import type { Probe } from '../probe/probe';

export interface CheckVerdict {
  /** What could not be tried has not passed. */
  readonly result: 'passed' | 'failed' | 'not tried';
  /** A sentence on what was seen, or on why it was not tried. */
  readonly saw: string;
}

export interface Check {
  readonly name: string;
  /** Rules of PROTOCOL.md, and sections of draft-ietf-httpapi-idempotency-key-header-07. */
  readonly rules: string;
  /** Default: all. */
  readonly profiles?: readonly ProfileName[];
  readonly run: (probe: Probe) => Promise<CheckVerdict>;
}

export const notTried = (why: string): CheckVerdict => ({ result: 'not tried', saw: why });

/**
 * Failed if there is a fault, else passed.
 *
 * @param saw what holds, when there is no fault
 * @param faults sentences without a period; false for those that are not there
 */
export function judge(saw: string, faults: readonly (string | false)[]): CheckVerdict {
  const found = faults.filter((fault) => fault !== false);
  if (found.length === 0) return { result: 'passed', saw: `${saw}.` };
  return { result: 'failed', saw: `${found.join('; ')}.` };
}

/** A response in few words: its status, and the beginning of what an error says. */
export function sketch({ status, body }: Reply): string {
  if (status < 400 || body.length === 0) return String(status);
  const text = body.toString('utf8').replaceAll(/\s+/g, ' ');
  return `${status} ${text.length > 120 ? `${text.slice(0, 120)}…` : text}`;
}

export function isSameResponse(one: Reply, other: Reply): boolean {
  return (
    one.status === other.status &&
    one.body.equals(other.body) &&
    one.headers['content-type'] === other.headers['content-type']
  );
}

/** How two responses differ, which should be the same. */
export function differenceOf(first: Reply, copy: Reply): string | false {
  if (isSameResponse(first, copy)) return false;
  if (first.status !== copy.status)
    return `the first got ${first.status}, the copy ${sketch(copy)}`;
  if (!first.body.equals(copy.body)) return `both got ${copy.status}, with different bytes`;
  return `the content types differ: ${first.headers['content-type']} and ${copy.headers['content-type']}`;
}

/** Nothing is wrong with an unknown number of effects: what cannot be seen is told by its own check. */
export function wrongEffects(expected: number, effects: number | undefined): string | false {
  if (effects === undefined || effects === expected) return false;
  return `there ${effects === 1 ? 'was 1 effect' : `were ${effects} effects`} instead of ${expected}`;
}
