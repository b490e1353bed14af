/**
 * Checks the model of the protocol exhaustively, and that every mistake planted in it is found.
 * Needs `spin` and a C compiler. Without them it is skipped, but never where CI=true.
 */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';

const ROOT = join(__dirname, '..', '..');
const MODEL = join(__dirname, 'key.pml');
const run = promisify(execFile);

/** The properties of the model in the order of their bits, and what pan itself looks for. */
const PROPERTIES = [
  'one_effect_per_life',
  'one_response_per_life',
  'responds_when_durable',
  'no_write_without_the_fence',
  'fenced_after_a_fault',
  'only_clients_begin',
  'finished_in_the_end',
  'every_effect_has_a_response',
] as const;
type Property = (typeof PROPERTIES)[number];
type Violation = Property | 'invalid end state' | 'non-progress cycle';

const watching = (...properties: readonly Property[]) =>
  `WATCHED=${properties.reduce((bits, property) => bits | (1 << PROPERTIES.indexOf(property)), 0)}`;
const allBut = (property: Property) => watching(...PROPERTIES.filter((each) => each !== property));

/** Each mistake, and the property that must not survive it. Only that one is looked at. */
const MISTAKES: readonly (readonly [names: string, violates: Violation])[] = [
  ['NO_FENCE', 'no_write_without_the_fence'],
  ['NO_FENCE', 'one_response_per_life'],
  ['ATTEMPT_NOT_RAISED', 'no_write_without_the_fence'],
  ['KEY_PER_ATTEMPT', 'one_effect_per_life'],
  ['KEY_PER_ATTEMPT LOOK_UP_FIRST', 'one_effect_per_life'],
  ['LEASE_IGNORED', 'fenced_after_a_fault'],
  ['RESPONSE_AFTER_EFFECT', 'one_effect_per_life'],
  ['EXPIRES_UNFINISHED', 'one_effect_per_life'],
  ['EXPIRES_UNFINISHED', 'every_effect_has_a_response'],
  ['REPLAY_EARLY', 'responds_when_durable'],
  ['DOUBT_IS_SUCCESS', 'responds_when_durable'],
  ['RECOVERY_BEGINS', 'only_clients_begin'],
  ['NO_RECOVERY', 'finished_in_the_end'],
  ['ROW_BEFORE_LOCK', 'invalid end state'],
  ['POSTPONED_FOR_EVER', 'non-progress cycle'],
];

interface Verdict {
  /** What pan found first; nothing when it went through every state and found nothing. */
  readonly violation?: string;
  readonly states: number;
  readonly seconds: number;
  /** Lines of the model that no state reached. */
  readonly unreached: readonly string[];
}

/**
 * Builds the model with these definitions and goes through its states, or to the first violation.
 *
 * @param long whether there are so many states that an optimised checker is worth its compilation
 */
async function check(
  definitions: readonly string[],
  { cycles = false, long = false } = {},
): Promise<Verdict> {
  const directory = mkdtempSync(join(tmpdir(), 'paidonce-model-'));
  try {
    const defined = definitions.map((definition) => `-D${definition}`);
    if (cycles) defined.push('-DLIVENESS');
    await run('spin', ['-a', ...defined, MODEL], { cwd: directory });
    const built = [long ? '-O2' : '-O0', '-w', cycles ? '-DNP' : '-DSAFETY', '-DMEMLIM=3500'];
    await run('gcc', [...built, '-o', 'pan', 'pan.c'], { cwd: directory });
    const search = ['-m100000', '-w24'];
    if (cycles) search.push('-l');
    // Where some properties alone are looked at, a deadlock is none of them.
    if (definitions.some((each) => each.startsWith('WATCHED='))) search.push('-E');
    const { stdout } = await run('./pan', search, { cwd: directory, maxBuffer: 2 ** 24 });
    return verdictOf(stdout);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** @throws when pan did not go through everything, or said something that is not understood */
function verdictOf(output: string): Verdict {
  const errors = /errors: (\d+)/.exec(output)?.[1];
  const states = /(\d+) states, stored/.exec(output)?.[1];
  const seconds = /elapsed time ([\d.e+-]+) seconds/.exec(output)?.[1];
  const found =
    /^pan:1: (?:assertion violated \(+(\w+)\|\||(invalid end state|non-progress cycle))/m;
  const [, property, other] = found.exec(output) ?? [];
  const violation = property ?? other;
  const cutShort = /max search depth too small|reached -DMEMLIM|out of memory|hash table full/i;
  const complete = violation !== undefined || !/Search not completed/i.test(output);
  if (
    !states ||
    !seconds ||
    cutShort.test(output) ||
    !complete ||
    (errors === '0') !== (violation === undefined)
  ) {
    throw new Error(`pan did not finish its search:\n${output}`);
  }
  const unreached = [...output.matchAll(/^\t.*key\.pml:\d+, state \d+, (".*")$/gm)];
  return {
    violation,
    states: Number(states),
    seconds: Number(seconds),
    unreached: unreached.map((match) => match[1] ?? ''),
  };
}

const figures = ({ states, seconds }: Verdict) =>
  `${states.toLocaleString('en')} states in ${seconds.toFixed(1)} s\n`;

const missing = ['spin', 'gcc'].filter((tool) => spawnSync(tool, ['--version']).error);
const checked = missing.length > 0 && process.env['CI'] !== 'true' ? describe.skip : describe;

checked('the protocol model (skipped without spin and gcc: apt-get install spin gcc)', () => {
  jest.setTimeout(600_000);

  it('keeps every property in every state, with three faults, and uses every step', async () => {
    const verdict = await check([`FAULTS=${process.env['MODEL_FAULTS'] ?? 3}`], { long: true });
    process.stdout.write(`every property: ${figures(verdict)}`);
    expect(verdict.violation).toBeUndefined();
    expect(verdict.states).toBeGreaterThan(1_000_000);
    expect(verdict.unreached).toEqual(['"-end-"']); // the world has no end
  });

  it('ends: no run goes on for ever once clients stop sending', async () => {
    const verdict = await check(['FAULTS=2'], { cycles: true, long: true });
    process.stdout.write(`every run ends: ${figures(verdict)}`);
    expect(verdict.violation).toBeUndefined();
  });

  it('is as safe without the advisory lock: the primary key and the fence are what decides', async () => {
    const verdict = await check(['NO_LOCK'], { long: true });
    process.stdout.write(`without the advisory lock: ${figures(verdict)}`);
    expect(verdict.violation).toBeUndefined();
  });

  it('charges once by the stable remote key alone, even without the fence', async () => {
    const verdict = await check(['NO_FENCE', watching('one_effect_per_life')], { long: true });
    expect(verdict.violation).toBeUndefined();
  });

  it('loses nothing but the work of a healthy owner when the lease is ignored', async () => {
    const verdict = await check(['LEASE_IGNORED', 'FAULTS=1', allBut('fenced_after_a_fault')]);
    expect(verdict.violation).toBeUndefined();
  });

  it.each(MISTAKES)('finds the mistake %s, by %s', async (names, violates) => {
    const mistakes = names.split(' ');
    const alone = PROPERTIES.filter((property) => property === violates);
    const verdict =
      violates === 'invalid end state'
        ? await check(mistakes)
        : await check([...mistakes, watching(...alone)], { cycles: alone.length === 0 });
    expect(verdict.violation).toBe(violates);
  });

  it('does not take a search that was cut short for a proof', async () => {
    const whole = 'errors: 0\n 7 states, stored\npan: elapsed time 0.1 seconds\n';
    expect(verdictOf(whole)).toMatchObject({ states: 7, violation: undefined });
    expect(() => verdictOf(`error: max search depth too small\n${whole}`)).toThrow();
    expect(() => verdictOf(`Warning: Search not completed\n${whole}`)).toThrow();
    expect(() => verdictOf(whole.replace('errors: 0', 'errors: 1'))).toThrow();
    expect(() => verdictOf('')).toThrow();
  });
});

describe('docs/MODEL.md', () => {
  const page = readFileSync(join(ROOT, 'docs', 'MODEL.md'), 'utf8');
  const model = readFileSync(MODEL, 'utf8');

  it('names functions that exist', () => {
    const references = [...page.matchAll(/`([\w./-]+\.ts): ([\w.]+)`/g)];
    expect(references.length).toBeGreaterThan(20);
    const gone = references
      .map(([, file, name]) => ({ path: `src/idempotency/${file}`, name: name ?? '' }))
      .filter(({ path, name }) => !namesOf(path).has(name))
      .map(({ path, name }) => `${path}: ${name}`);
    expect(gone).toEqual([]);
  });

  it('speaks of every verb of the store', () => {
    const verbs = [...namesOf('src/idempotency/store/key.store.ts')]
      .filter((name) => name.startsWith('KeyStore.'))
      .map((name) => name.slice('KeyStore.'.length));
    expect(verbs.length).toBeGreaterThan(10);
    expect(verbs.filter((verb) => !page.includes(`PostgresKeyStore.${verb}\``))).toEqual([]);
  });

  it('maps every step of the model, and nothing else', () => {
    const proctype = model.slice(model.indexOf('proctype sender'), model.indexOf('over: skip'));
    const steps = [...proctype.matchAll(/^(\w+):/gm)].map((match) => match[1] ?? '');
    expect(steps.length).toBeGreaterThan(8);
    const mapped = page.slice(page.indexOf('## Steps'), page.indexOf('The other names'));
    expect([...mapped.matchAll(/^- `(\w+)`:/gm)].map((match) => match[1])).toEqual(steps);
  });

  it('lists every mistake and property of the model, and each is tried', () => {
    const settings = ['FAULTS', 'WATCHED', 'LIVENESS', 'NO_LOCK'];
    const planted = [...model.matchAll(/^#ifn?def (\w+)/gm)].map((match) => match[1] ?? '');
    const tried = MISTAKES.flatMap(([names]) => names.split(' '));
    const mistakes = planted.filter((name) => !settings.includes(name));
    expect(new Set(tried)).toEqual(new Set(mistakes));
    expect(mistakes.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
    const properties = [...model.matchAll(/^bool (\w+) = !\(WATCHED & (\d+)\)/gm)];
    expect(properties.map(([, name, bit]) => [name, Number(bit)])).toEqual(
      PROPERTIES.map((name, index) => [name, 1 << index]),
    );
    expect(PROPERTIES.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
    const violated = MISTAKES.map(([, property]) => property);
    expect(PROPERTIES.filter((name) => !violated.includes(name))).toEqual([]);
  });
});

/** Functions, and members of classes, interfaces and object constants as `Owner.member`. */
function namesOf(path: string): Set<string> {
  const names = new Set<string>();
  if (!existsSync(join(ROOT, path))) return names;
  const text = readFileSync(join(ROOT, path), 'utf8');
  const add = (owner: string, members: readonly ts.Node[]) => {
    for (const member of members) {
      const { name } = member as ts.NamedDeclaration;
      if (name && ts.isIdentifier(name)) names.add(`${owner}.${name.text}`);
    }
  };
  for (const node of ts.createSourceFile(path, text, ts.ScriptTarget.Latest).statements) {
    if (ts.isFunctionDeclaration(node) && node.name) names.add(node.name.text);
    if (ts.isClassDeclaration(node) && node.name) add(node.name.text, node.members);
    if (ts.isInterfaceDeclaration(node)) add(node.name.text, node.members);
    if (!ts.isVariableStatement(node)) continue;
    for (const { name, initializer } of node.declarationList.declarations) {
      if (!ts.isIdentifier(name)) continue;
      names.add(name.text);
      if (initializer && ts.isObjectLiteralExpression(initializer)) {
        add(name.text, initializer.properties);
      }
    }
  }
  return names;
}
