/** What selects a route beside method and path: the host and the version that its controller or handler declares (R7b). */
import { HOST_METADATA, VERSION_METADATA } from '../contract/nest-metadata';

/** Texts, for an operation's name and for a fingerprint. Nothing where nothing is declared. */
export interface RouteSelectors {
  /** The pattern, such as `:tenant.example.com`; never the host that a request names. */
  readonly host?: string;
  /** Of a route that serves several versions: all of them. */
  readonly version?: string;
}

/** By controller, then by handler: a handler may be inherited by controllers of two versions. */
const knownSelectors = new WeakMap<object, Map<object, RouteSelectors>>();

/**
 * The same for header, media type, custom and URI versioning: Nest selects the route, and this reads what
 * was declared on it.
 */
export function selectorsOf(controller: object, handler: object): RouteSelectors {
  const ofController = knownSelectors.get(controller) ?? new Map<object, RouteSelectors>();
  const cached = ofController.get(handler);
  if (cached) return cached;
  const host = declared(Reflect.getMetadata(HOST_METADATA, controller));
  const version =
    declared(Reflect.getMetadata(VERSION_METADATA, handler)) ??
    declared(Reflect.getMetadata(VERSION_METADATA, controller));
  const selectors = {
    ...(host === undefined ? {} : { host }),
    ...(version === undefined ? {} : { version }),
  };
  knownSelectors.set(controller, ofController.set(handler, selectors));
  return selectors;
}

/** Texts, regular expressions and Nest's symbol for "no version", one or several, in one order. */
function declared(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  const all: unknown[] = Array.isArray(value) ? value : [value];
  return all.length === 0 ? undefined : all.map(String).toSorted().join(', ');
}
