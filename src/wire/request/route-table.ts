/** The routes of the application, so that errors can tell a wrong method from a wrong path. */
import type { FastifyRequest } from 'fastify';
import { InvalidRequestError, excerpt } from '../errors/api.errors';

/** All methods and paths that the application serves. */
export class RouteTable {
  private readonly methodsByPath = new Map<string, { pattern: RegExp; methods: Set<string> }>();

  /** @param url as it was registered, e.g. `/v1/customers/:id` */
  add(method: string | readonly string[], url: string): void {
    const route = this.methodsByPath.get(url) ?? { pattern: patternOf(url), methods: new Set() };
    for (const name of [method].flat()) route.methods.add(name);
    this.methodsByPath.set(url, route);
  }

  /** The error for a request without a route: 404, also for a wrong method, as in Stripe's API. */
  unknownRouteError({ method, url }: Pick<FastifyRequest, 'method' | 'url'>): InvalidRequestError {
    const path = url.split('?', 1)[0] ?? '';
    const methods = this.methodsAt(path);
    const hint =
      methods.length > 0
        ? `This URL takes ${methods.join(', ')}.`
        : 'Check the path for slips: it begins with /v1/ and names a resource, e.g. /v1/customers.';
    return new InvalidRequestError(
      `Unrecognized request URL (${method}: ${excerpt(path)}). ${hint}`,
      {},
      404,
    );
  }

  /** The methods that a path takes; none if the path is unknown. */
  private methodsAt(path: string): string[] {
    const methods = new Set<string>();
    for (const route of this.methodsByPath.values()) {
      if (!route.pattern.test(path)) continue;
      for (const method of route.methods) methods.add(method);
    }
    return [...methods].filter((method) => method !== 'HEAD' && method !== 'OPTIONS').toSorted();
  }
}

function patternOf(url: string): RegExp {
  const segments = url.split('/').map((segment) => {
    if (segment.startsWith(':')) return '[^/]+';
    // A wildcard route would make every path look known.
    return segment.includes('*') ? '(?!)' : segment.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${segments.join('/')}$`);
}
