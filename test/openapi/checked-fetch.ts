/** A fetch that checks every response against the document. */
import Ajv2020, { type ValidateFunction } from 'ajv/dist/2020';

interface Schema {
  readonly [keyword: string]: unknown;
}
interface DescribedResponse {
  readonly $ref?: string;
  readonly headers?: Readonly<Record<string, { readonly $ref: string }>>;
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>;
}
export interface Operation {
  readonly operationId: string;
  readonly parameters: readonly { readonly name: string; readonly in: string; required: boolean }[];
  readonly requestBody?: {
    readonly content: Record<string, { schema: { $ref: string }; example?: object }>;
  };
  readonly responses: Readonly<Record<string, DescribedResponse>>;
  readonly security?: readonly unknown[];
}
export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, Schema>>>>;
}

/** `get /v1/customers/{id}` → the operation. */
export function operationsOf(document: Document): Map<string, Operation> {
  return new Map(
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => [`${method} ${path}`, operation]),
    ),
  );
}

export class CheckedFetch {
  /** `get /v1/customers 200`: the responses so far. */
  readonly seen = new Set<string>();
  private readonly ajv = new Ajv2020({ strict: false, allErrors: true });
  private readonly validators = new Map<string, ValidateFunction>();

  constructor(private readonly document: Document) {
    this.ajv.addSchema({ ...exact(document), $id: 'document' });
  }

  /** As `fetch`, for requests to the application. */
  readonly fetch: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    const url = input instanceof Request ? input.url : String(input);
    const method = (init?.method ?? 'GET').toLowerCase();
    this.check(method, new URL(url).pathname, response, await response.clone().text());
    return response;
  };

  /** @throws Error that says how a response differs from the document */
  check(method: string, path: string, { status, headers }: Response, body: string): void {
    const [route, operation] = this.operationAt(method, path);
    const name = `${route} ${status}`;
    const described = operation.responses[status];
    if (!described) throw new Error(`${name} is not in the document: ${body}`);
    const expected = described.$ref ? (this.at(described.$ref) as DescribedResponse) : described;
    const media = expected.content?.['application/json'];
    if (!media) throw new Error(`${name} has no schema.`);
    if (headers.get('content-type') !== 'application/json; charset=utf-8') {
      throw new Error(`${name} is ${headers.get('content-type')}.`);
    }
    this.validate(`${name}: body`, media.schema, JSON.parse(body));
    for (const header of Object.keys(this.document.components.headers ?? {})) {
      const value = headers.get(header);
      const ref = expected.headers?.[header];
      if (value !== null && !ref) throw new Error(`${name}: ${header} is not in the document.`);
      if (value === null || !ref) continue;
      this.validate(`${name}: ${header}`, this.at(ref.$ref).schema as Schema, value);
    }
    this.seen.add(name);
  }

  private operationAt(method: string, path: string): readonly [string, Operation] {
    for (const [route, operation] of operationsOf(this.document)) {
      const [routeMethod, template = ''] = route.split(' ');
      const pattern = new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]+')}$`);
      if (routeMethod === method && pattern.test(path)) return [route, operation];
    }
    throw new Error(`${method} ${path} is not in the document.`);
  }

  private validate(what: string, schema: Schema, value: unknown): void {
    const key = JSON.stringify(schema);
    const validator = this.validators.get(key) ?? this.ajv.compile(absolute(schema));
    this.validators.set(key, validator);
    if (validator(value)) return;
    const [first] = validator.errors ?? [];
    const { instancePath, message, params } = first ?? {};
    throw new Error(
      `${what}${instancePath} ${message} ${JSON.stringify(params)}: ${JSON.stringify(value)}`,
    );
  }

  private at(ref: string): Schema {
    return ref
      .slice(2)
      .split('/')
      .reduce((node, step) => node[step] as Schema, this.document as unknown as Schema);
  }
}

/** The same with no field let pass that is not in it. */
export function exact<T>(node: T): T {
  if (Array.isArray(node)) return node.map(exact) as T;
  if (typeof node !== 'object' || node === null) return node;
  const entries = Object.entries(node).map(([name, value]) => [name, exact(value)]);
  const copy = Object.fromEntries(entries) as Schema;
  const closed = 'properties' in copy && !('additionalProperties' in copy);
  return (closed ? { ...copy, additionalProperties: false } : copy) as T;
}

/** With references into the document. */
export function absolute(schema: Schema): Schema {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"document#/')) as Schema;
}
