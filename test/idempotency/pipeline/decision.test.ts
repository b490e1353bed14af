/** The whole table of decisions: every combination of facts about a key. */
import { decide, type Decision, type KeyState } from '../../../src/idempotency/pipeline/decision';

const [yes, no] = [true, false];

type Case = [
  locked: boolean,
  sameRequest: boolean,
  finished: boolean,
  expired: boolean,
  leaseExpired: boolean,
  decision: Decision,
];

/** `expired` is only ever true of a finished row, `leaseExpired` of an unfinished one. */
const TABLE: Case[] = [
  // finished, within its life: the lock says nothing
  [yes, yes, yes, no, no, 'replay'],
  [no, yes, yes, no, no, 'replay'],
  [yes, no, yes, no, no, 'reused'],
  [no, no, yes, no, no, 'reused'],
  // finished, past its life: as if there were no row, for whatever request
  [yes, yes, yes, yes, no, 'run'],
  [no, yes, yes, yes, no, 'in use'],
  [yes, no, yes, yes, no, 'run'],
  [no, no, yes, yes, no, 'in use'],
  // unfinished, its owner within the lease
  [yes, yes, no, no, no, 'in use'],
  [no, yes, no, no, no, 'in use'],
  [yes, no, no, no, no, 'reused'],
  [no, no, no, no, no, 'reused'],
  // unfinished, its owner gone: only who has the lock takes over, and only the same request
  [yes, yes, no, no, yes, 'take over'],
  [no, yes, no, no, yes, 'in use'],
  [yes, no, no, no, yes, 'reused'],
  [no, no, no, no, yes, 'reused'],
];

describe('R4 to R8, R11 what is known of a key decides', () => {
  it.each<[boolean, Decision]>([
    [yes, 'run'],
    [no, 'in use'],
  ])('R5 R8 no row, locked %s: %s', (locked, decision) => {
    expect(decide({ locked })).toBe(decision);
  });

  it.each(TABLE)(
    'locked %s, same request %s, finished %s, expired %s, lease expired %s: %s',
    (locked, sameRequest, finished, expired, leaseExpired, decision) => {
      expect(decide({ locked, row: { sameRequest, finished, expired, leaseExpired } })).toBe(
        decision,
      );
    },
  );

  it('lists every combination there can be', () => {
    const cases = new Set(TABLE.map((row) => row.slice(0, 5).join()));
    const bits = [yes, no];
    const all = bits.flatMap((locked) =>
      bits.flatMap((sameRequest) =>
        bits.flatMap((finished) =>
          bits.flatMap((expired) =>
            bits.map((leaseExpired) => ({ locked, sameRequest, finished, expired, leaseExpired })),
          ),
        ),
      ),
    );
    const possible = all.filter((row) => (row.finished ? !row.leaseExpired : !row.expired));
    expect(possible.map((row) => Object.values(row).join()).toSorted()).toEqual(
      [...cases].toSorted(),
    );
  });

  it('never runs the handler without the lock, whatever else is known', () => {
    for (const [, sameRequest, finished, expired, leaseExpired] of TABLE) {
      const known: KeyState = {
        locked: no,
        row: { sameRequest, finished, expired, leaseExpired },
      };
      expect(['run', 'take over']).not.toContain(decide(known));
    }
  });
});
