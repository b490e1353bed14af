/**
 * The attacker: a process that carries out the raids that the harness sends it, and reports the results. It
 * ends with the harness, or after its time.
 */
import { type Raid, raid, release, type Target } from './raid';

/** Longest life of an attacker, ms. */
const LIFE_MS = 15 * 60_000;

setTimeout(() => process.exit(1), LIFE_MS).unref();
process.on('disconnect', () => process.exit(0));
process.on('message', ({ target, plans }: { target: Target; plans: Raid[] }) => {
  void release()
    .then(() => Promise.all(plans.map((plan) => raid(target, plan))))
    .then((results) => process.send?.(results));
});
