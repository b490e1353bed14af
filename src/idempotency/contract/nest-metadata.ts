/**
 * Nest's own metadata that this package reads, by its names. Nest 10 and 11 export them from another path than
 * Nest 12, and none of these paths is public; the names are the same in all.
 */

// Internals: metadata-of-nest

/** On a handler: its HTTP method. */
export const METHOD_METADATA = 'method';
/** On a controller: its host or hosts, patterns included. */
export const HOST_METADATA = 'host';
/** On a controller or a handler: its version or versions. */
export const VERSION_METADATA = '__version__';
/** On a handler: `@Sse()`. */
export const SSE_METADATA = '__sse__';
/** On a handler and on a controller: its interceptors, the outermost first. */
export const INTERCEPTORS_METADATA = '__interceptors__';
/** On a controller and a method's name: its decorated parameters, under keys that begin with their kind. */
export const ROUTE_ARGS_METADATA = '__routeArguments__';
/** On a controller and a method's name: `@Res({ passthrough: true })`. */
export const RESPONSE_PASSTHROUGH_METADATA = '__responsePassthrough__';
/** The kinds of parameters with which a handler responds by itself: `@Res()` and `@Next()`. */
export const RESPONSE_PARAMETERS: ReadonlySet<number> = new Set([1, 2]);
