/**
 * The attacker: a process of its own that carries out raids on the port that it is told, and reports
 * them. It ends when the harness does, and by itself after its time.
 */
import { type Raid, raid, release, type Target } from './raid';

/** The longest that an attacker lives, ms. */
const LIFE_MS = 15 * 60_000;

setTimeout(() => process.exit(1), LIFE_MS).unref();
process.on('disconnect', () => process.exit(0));
process.on('message', ({ target, plans }: { target: Target; plans: Raid[] }) => {
  void release()
    .then(() => Promise.all(plans.map((plan) => raid(target, plan))))
    .then((results) => process.send?.(results));
});
