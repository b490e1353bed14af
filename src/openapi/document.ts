/**
 * The OpenAPI document. Every part of it has one source: paths come from the controllers, parameters from
 * the decorators that check them, responses from the schemas of `*.wire.ts`, idempotency keys from
 * `@Idempotent()`, expandable fields from `declareReferences`.
 */
import type { INestApplication } from '@nestjs/common';
import {
  ApiProperty,
  type ApiPropertyOptions,
  DocumentBuilder,
  type OpenAPIObject,
  SwaggerModule,
} from '@nestjs/swagger';
import { idempotentOptionsOf } from '../idempotency';
import {
  API_PATH,
  API_VERSION,
  type DeclaredOperation,
  declaredOperations,
  type DeclaredParam,
  declaredParams,
  declaredReferences,
  namedSchemas,
} from '../wire';
import {
  type DescribedOperation,
  HEADERS,
  responsesOf,
  type SharedResponses,
} from './documented-responses';

type OpenApiOperation = NonNullable<OpenAPIObject['paths'][string]['get']>;
type Parameter = Exclude<NonNullable<OpenApiOperation['parameters']>[number], { $ref: string }>;
type SchemaObject = Record<string, unknown> & { properties?: Record<string, SchemaObject> };
type Schemas = Record<string, SchemaObject>;

const DESCRIPTION = `Payments that are never charged twice, in the wire format of Stripe's API v1.

Parameters stand in the query of a GET and in the body of a POST, as a form or as JSON. One that is not
known is refused. Null in JSON, or an empty value in a form, unsets a parameter that can be unset.

A POST or DELETE with an \`Idempotency-Key\` is carried out once however often it is sent, and every copy
gets the same bytes as its response. Where money moves a key is required.`;

/**
 * Builds the document of an application.
 *
 * @throws Error if a route has no `@Operation()`, or a reference is in no schema
 */
export function buildDocument(app: INestApplication): OpenAPIObject {
  for (const param of declaredParams) describeParam(param);
  const document = SwaggerModule.createDocument(app, emptyDocument(), {
    operationIdFactory: (controller, handler) => `${controller}.${handler}`,
    autoTagControllers: false,
  });
  const objects: Schemas = structuredClone(Object.fromEntries(namedSchemas));
  for (const [object, fields] of declaredReferences()) {
    for (const [field, target] of fields) makeExpandable(objects, object, field, target);
  }
  const requests = document.components?.schemas as Schemas;
  // Requests refuse unknown parameters. Objects of responses may gain fields later.
  for (const schema of Object.values(requests)) schema.additionalProperties = false;
  const responses: SharedResponses = {};
  const operations = new Map(declaredOperations.map((operation) => [idOf(operation), operation]));
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, scanned] of Object.entries(methods as Record<string, OpenApiOperation>)) {
      const declared = operations.get(scanned.operationId ?? '');
      if (!declared) throw new Error(`${method} ${path} has no @Operation().`);
      Object.assign(
        scanned,
        completeOperation(scanned, { method, path, declared }, { requests, responses }),
      );
    }
  }
  const used = Object.entries(requests).filter(([, { properties = {} }]) => hasEntries(properties));
  const components = {
    ...document.components,
    headers: HEADERS,
    responses: sortByName(responses),
    schemas: sortByName({ ...objects, ...Object.fromEntries(used) }),
  };
  const { tags: _, info, ...rest } = document;
  return {
    ...rest,
    info: { ...info, contact: undefined },
    paths: sortByName(document.paths),
    components,
  };
}

/** Gives a parameter's schema to @nestjs/swagger. */
function describeParam(param: DeclaredParam): void {
  const { target, property, schema, nested, required = false, unsettable, description } = param;
  // Without `type`, @nestjs/swagger would add the TypeScript type to the schema.
  const type = 'anyOf' in schema ? { type: 'string' } : nested && { type: () => nested() };
  const options = {
    ...type,
    ...schema,
    required,
    ...(unsettable ? { nullable: true } : {}),
    ...(description === undefined ? {} : { description }),
  };
  ApiProperty(options as ApiPropertyOptions)(target, property);
}

function emptyDocument() {
  return new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('paidonce')
    .setDescription(DESCRIPTION)
    .setVersion(API_VERSION)
    .setLicense('MIT', 'https://opensource.org/license/mit')
    .addServer('/')
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'An API key: sk_test_…' })
    .addBasicAuth({ type: 'http', scheme: 'basic', description: 'An API key as the user name.' })
    .addSecurityRequirements('bearer')
    .addSecurityRequirements('basic')
    .build();
}

function idOf({ target, handler }: DeclaredOperation): string {
  return `${target.constructor.name}.${handler}`;
}

/** Adds everything that the scan of the controllers does not find. */
function completeOperation(
  scanned: OpenApiOperation,
  at: { method: string; path: string; declared: DeclaredOperation },
  { requests, responses }: { requests: Schemas; responses: SharedResponses },
): OpenApiOperation {
  const { method, path, declared } = at;
  const resource = declared.target.constructor.name.replace(/Controller$/, '');
  const key = idempotentOptionsOf((declared.target as Record<string, object>)[declared.handler]!);
  const authenticated = path.startsWith(`${API_PATH}/`);
  const operation: DescribedOperation = {
    ...declared,
    authenticated,
    keyed: key !== undefined,
    method,
    path,
  };
  return {
    operationId: `${resource.charAt(0).toLowerCase()}${resource.slice(1)}.${declared.handler}`,
    summary: declared.summary,
    ...(declared.description === undefined ? {} : { description: declared.description }),
    tags: [resource.replaceAll(/(?!^)[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)],
    ...(authenticated ? {} : { security: [] }),
    parameters: [
      ...(scanned.parameters as Parameter[]).map(withQueryStyle),
      ...(key ? [PREFER] : []),
    ],
    requestBody: bodyOf(scanned, requests, declared.example),
    responses: responsesOf(operation, responses),
  };
}

/** In a query, lists and hashes have the form `expand[]=…` and `created[gt]=…`. */
function withQueryStyle(parameter: Parameter): Parameter {
  const { type, anyOf } = parameter.schema as SchemaObject;
  return type === 'array' || anyOf
    ? { ...parameter, style: 'deepObject', explode: true }
    : parameter;
}

/** Beside the header `Idempotency-Key`, which `@Idempotent()` declares. */
const PREFER: Parameter = {
  name: 'Prefer',
  in: 'header',
  required: false,
  description:
    'wait=N: while another request with this key is running, the server waits up to N seconds for ' +
    'its response.',
  schema: { type: 'string' },
};

/** The body, as JSON and as a form; undefined if there are no parameters. */
function bodyOf(
  { requestBody }: OpenApiOperation,
  requests: Schemas,
  example: DeclaredOperation['example'],
): OpenApiOperation['requestBody'] {
  if (!requestBody || '$ref' in requestBody) return undefined;
  const schema = requestBody.content['application/json']?.schema;
  if (!schema || !('$ref' in schema)) return undefined;
  const { $ref } = schema;
  const { properties = {}, required } = requests[$ref.split('/').at(-1) ?? ''] ?? {};
  if (!hasEntries(properties)) return undefined;
  const inBrackets = Object.entries(properties)
    .filter(([, property]) => isStructured(property))
    .map(([name]) => [name, { style: 'deepObject', explode: true }]);
  const encoding = Object.fromEntries(inBrackets) as Record<string, object>;
  return {
    required: required !== undefined,
    content: {
      'application/json': { schema: { $ref }, example },
      'application/x-www-form-urlencoded': { schema: { $ref }, example, encoding },
    },
  };
}

/** Whether a parameter may be a list or a hash. */
function isStructured({ $ref, anyOf, type }: SchemaObject): boolean {
  if (anyOf) return (anyOf as SchemaObject[]).some(isStructured);
  return $ref !== undefined || [type].flat().some((one) => one === 'array' || one === 'object');
}

function hasEntries(hash: object): boolean {
  return Object.keys(hash).length > 0;
}

/** Makes a reference an id or, with `expand`, the object of that id. */
function makeExpandable(schemas: Schemas, object: string, field: string, target: string): void {
  const targets = schemaNamesOf(schemas, target).map((name) => ({
    $ref: `#/components/schemas/${name}`,
  }));
  const holders = schemaNamesOf(schemas, object);
  // Stripe has objects that this server does not. References to them are always null.
  if (targets.length === 0 || holders.length === 0) return;
  const hashes = field.split('.');
  const last = hashes.pop() ?? '';
  const places = holders
    .map((name) => hashes.reduce((at, step) => at?.properties?.[step], schemas[name]))
    .flatMap((holder) => (holder?.properties?.[last] ? [holder.properties] : []));
  if (places.length === 0) throw new Error(`${object}.${field} is a reference in no schema.`);
  for (const properties of places) {
    const { description, ...id } = properties[last] ?? {};
    properties[last] = { ...(description ? { description } : {}), anyOf: [id, ...targets] };
  }
}

/** The names of the schemas of one kind of object. A customer has two: one is of a deleted customer. */
function schemaNamesOf(schemas: Schemas, object: string): string[] {
  return Object.entries(schemas)
    .filter(([, { properties }]) => properties?.object?.const === object)
    .map(([name]) => name);
}

function sortByName<T>(hash: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(hash).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
