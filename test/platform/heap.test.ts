/** V8's own trace shows that pretenuring is off, unless an operator turns it on. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** Objects that all survive: what V8 makes such places old for. */
const SURVIVORS = `
  const kept = [];
  for (let at = 0; at < 1_000_000; at += 1) kept.push({ at, pair: [at, at], inner: { at } });`;

function decisionsOf(...flags: string[]) {
  const heap = JSON.stringify(join(process.env.TEST_PROGRAMS ?? '', 'runtime', 'heap.js'));
  const script = `require(${heap}).disablePretenuring();${SURVIVORS}`;
  const args = ['--trace-pretenuring-statistics', ...flags, '-e', script];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  return { status, stderr, decisions: /pretenuring: AllocationSite/.test(stdout) };
}

it('makes no place in the code old', () => {
  expect(decisionsOf()).toEqual({ status: 0, stderr: '', decisions: false });
});

it('unless the command line asks for it', () => {
  const asked = decisionsOf('--allocation-site-pretenuring');
  expect(asked).toEqual({ status: 0, stderr: '', decisions: true });
});
