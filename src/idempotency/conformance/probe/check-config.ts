/** What the conformance kit must be told about a server: the shape of its config file, with bounds and defaults. */
import { randomUUID } from 'node:crypto';

/** A route and what is sent to it. */
export interface CheckedRoute {
  /** Default: POST. */
  readonly method: string;
  /** Begins with a slash; is put behind the URL's own path. */
  readonly path: string;
  /** Sent as it is if it is a string, else as JSON. */
  readonly body: string;
}

/** A config file that was read and found right. */
export interface CheckConfig {
  /** The route that is checked; its body must have one effect for each key. */
  readonly route: CheckedRoute;
  /** Another body for the same route, which has an effect too. */
  readonly otherBody: string;
  /** Headers of every request, such as `authorization`. */
  readonly headers: Readonly<Record<string, string>>;
  /** How an effect is told apart. At least one of the two. */
  readonly effects: {
    /** Where the effects are counted: a GET, and a JSON pointer to a list or a number in its response. */
    readonly count?: { readonly path: string; readonly at: string } | undefined;
    /** JSON pointer to what differs between the responses of two effects, such as `/id`. */
    readonly identity?: string | undefined;
  };
  /** Whether the route refuses a request without a key. Default: false. */
  readonly keyRequired: boolean;
  /** Statuses for a reused key, where they differ from the profile's. */
  readonly reusedStatus?: readonly number[] | undefined;
  /** A request that takes long enough for a copy to arrive meanwhile. */
  readonly slow?: (CheckedRoute & { readonly afterMs: number }) | undefined;
  /** A request whose outcome is a 4xx, such as a declined card. */
  readonly refused?: CheckedRoute | undefined;
  /** A request that validation refuses. */
  readonly invalid?: CheckedRoute | undefined;
  /** Headers of another account, over `headers`. */
  readonly otherAccount?: Readonly<Record<string, string>> | undefined;
  /** How many copies are sent at once: 2 to 200. Default: 20. */
  readonly copies: number;
  /** Longest duration of a request, ms: 100 to 120,000. Default: 10,000. */
  readonly timeoutMs: number;
  /** Longest duration of all checks, ms: 1,000 to 600,000. Default: 120,000. */
  readonly totalMs: number;
}

/** The config, or how the kit was called, is wrong. Its message says what to do. */
export class CheckConfigError extends Error {
  override readonly name = 'CheckConfigError';
}

const ROUTE = ['method', 'path', 'body'];
const NAMES = [
  ...ROUTE,
  'otherBody',
  'headers',
  'effects',
  'keyRequired',
  'reusedStatus',
  'slow',
  'refused',
  'invalid',
  'otherAccount',
  'copies',
  'timeoutMs',
  'totalMs',
];

/**
 * Reads the text of a config file. `{{run}}` in it becomes a text that is new in each run.
 *
 * @throws CheckConfigError that names the wrong part and what it must be
 */
export function readCheckConfig(text: string): CheckConfig {
  const config = section(parse(text.replaceAll('{{run}}', randomUUID())), '', NAMES);
  const route = routeOf(config, '');
  const otherBody = bodyOf(config, '', 'otherBody');
  if (otherBody === route.body) throw wrong('otherBody', 'another body than `body`');
  const { keyRequired = false } = config;
  if (typeof keyRequired !== 'boolean') throw wrong('keyRequired', 'true or false');
  return {
    route,
    otherBody,
    headers: headersOf(config, 'headers') ?? {},
    effects: effectsOf(config),
    keyRequired,
    reusedStatus: statusesOf(config),
    slow: slowOf(config),
    refused: optionalRoute(config, 'refused', route),
    invalid: optionalRoute(config, 'invalid', route),
    otherAccount: headersOf(config, 'otherAccount'),
    copies: numberOf(config, 'copies', { fallback: 20, min: 2, max: 200 }),
    timeoutMs: numberOf(config, 'timeoutMs', { fallback: 10_000, min: 100, max: 120_000 }),
    totalMs: numberOf(config, 'totalMs', { fallback: 120_000, min: 1_000, max: 600_000 }),
  };
}

type Section = Readonly<Record<string, unknown>>;

function wrong(name: string, must: string): CheckConfigError {
  return new CheckConfigError(`In the config \`${name}\` must be ${must}.`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CheckConfigError(`The config is not JSON: ${(error as Error).message}`);
  }
}

/** An object with none but known names. */
function section(value: unknown, at: string, known: readonly string[]): Section {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    if (at === '') throw new CheckConfigError('The config must be a JSON object.');
    throw wrong(at, `an object with ${known.join(', ')}`);
  }
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  if (unknown === undefined) return value as Section;
  const name = at === '' ? unknown : `${at}.${unknown}`;
  throw new CheckConfigError(`The config knows no \`${name}\`, but ${known.join(', ')}.`);
}

const nameIn = (at: string, name: string) => (at === '' ? name : `${at}.${name}`);

function pathOf(config: Section, at: string): string {
  const { path } = config;
  if (typeof path !== 'string' || !/^\/(?!\/)/.test(path)) {
    throw wrong(nameIn(at, 'path'), 'a path that begins with one slash, such as "/orders"');
  }
  return path;
}

function bodyOf(config: Section, at: string, name = 'body'): string {
  const body = config[name];
  if (body === undefined) throw wrong(nameIn(at, name), 'JSON, or a string that is sent as it is');
  return typeof body === 'string' ? body : JSON.stringify(body);
}

function routeOf(config: Section, at: string): CheckedRoute {
  const { method = 'POST' } = config;
  if (typeof method !== 'string' || !/^(POST|PUT|PATCH|DELETE)$/.test(method)) {
    throw wrong(nameIn(at, 'method'), 'POST, PUT, PATCH or DELETE');
  }
  return { method, path: pathOf(config, at), body: bodyOf(config, at) };
}

/** A route of a section; method and path are those of the main route where it has none. */
function optionalRoute(
  config: Section,
  name: string,
  { method, path }: CheckedRoute,
): CheckedRoute | undefined {
  if (config[name] === undefined) return undefined;
  return routeOf({ method, path, ...section(config[name], name, ROUTE) }, name);
}

function slowOf(config: Section): CheckConfig['slow'] {
  if (config['slow'] === undefined) return undefined;
  const slow = section(config['slow'], 'slow', [...ROUTE, 'afterMs']);
  const main = { method: config['method'] ?? 'POST', path: config['path'] };
  const afterMs = numberOf(slow, 'afterMs', { fallback: 300, min: 10, max: 60_000 });
  return { ...routeOf({ ...main, ...slow }, 'slow'), afterMs };
}

function effectsOf(config: Section): CheckConfig['effects'] {
  const must = 'an object with `count` ({ "path", "at" }), `identity` (a JSON pointer), or both';
  if (config['effects'] === undefined) throw wrong('effects', must);
  const effects = section(config['effects'], 'effects', ['count', 'identity']);
  const identity = pointerOf(effects, 'effects', 'identity');
  if (effects['count'] === undefined) {
    if (identity === undefined) throw wrong('effects', must);
    return { identity };
  }
  const count = section(effects['count'], 'effects.count', ['path', 'at']);
  const at = pointerOf(count, 'effects.count', 'at') ?? '';
  return { count: { path: pathOf(count, 'effects.count'), at }, identity };
}

function pointerOf(config: Section, at: string, name: string): string | undefined {
  const value = config[name];
  if (value === undefined) return undefined;
  if (typeof value === 'string' && /^(\/.*)?$/.test(value)) return value;
  throw wrong(nameIn(at, name), 'a JSON pointer, such as "/data" ("" is the whole body)');
}

function headersOf(config: Section, name: string): CheckConfig['otherAccount'] {
  const value = config[name];
  if (value === undefined) return undefined;
  const must = 'an object of header names and texts, without idempotency-key';
  if (typeof value !== 'object' || value === null) throw wrong(name, must);
  const headers = Object.entries(value).map(([header, text]) => [header.toLowerCase(), text]);
  const isRight = headers.every(
    ([header, text]) => typeof text === 'string' && header !== 'idempotency-key',
  );
  if (!isRight) throw wrong(name, must);
  return Object.fromEntries(headers) as Record<string, string>;
}

function statusesOf(config: Section): readonly number[] | undefined {
  const { reusedStatus } = config;
  if (reusedStatus === undefined) return undefined;
  const statuses = Array.isArray(reusedStatus) ? (reusedStatus as unknown[]) : [reusedStatus];
  const isStatus = (status: unknown) => Number.isInteger(status) && /^4\d\d$/.test(String(status));
  if (statuses.length > 0 && statuses.every(isStatus)) return statuses as number[];
  throw wrong('reusedStatus', 'a status from 400 to 499, or a list of such');
}

function numberOf(
  config: Section,
  name: string,
  { fallback, min, max }: { readonly fallback: number; readonly min: number; readonly max: number },
): number {
  const value = config[name] ?? fallback;
  if (Number.isInteger(value) && Number(value) >= min && Number(value) <= max) return Number(value);
  throw wrong(name, `a whole number from ${min} to ${max}`);
}
