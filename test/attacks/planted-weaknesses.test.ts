/** The attacks that run in CI, each proven by a weakness that it notices there. */
import { attacks } from './catalogue';
import { traps } from './planted-weaknesses';

it('each attack has a weakness that it must notice', () => {
  const proven = new Set(traps.map(({ attack }) => attack));
  expect([...proven].toSorted()).toEqual(attacks.map(({ name }) => name).toSorted());
});
