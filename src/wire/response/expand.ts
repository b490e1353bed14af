/**
 * `expand[]` (https://docs.stripe.com/api/expanding_objects): a reference, which is an id, is
 * replaced by the object it names. Modules declare which fields of their objects are references
 * (`declareReferences`, when their files are loaded) and how an object is loaded
 * (`Expander.register`, when they start); everything else is done here, for objects and lists
 * alike, with one query for each path and kind of object.
 */
import { Injectable } from '@nestjs/common';
import type { Tenant } from '../../database';
import { shown } from '../errors/api.errors';
import { emptyRefused, entriesOf, Param, Refused } from '../request/params';

/** An object in the shape it has on the wire. */
export interface WireObject {
  readonly id: string;
  readonly object: string;
}

/** The objects with these ids that the tenant can see: new ones at each call, in any order. */
export type Loader = (tenant: Tenant, ids: readonly string[]) => Promise<readonly WireObject[]>;

const MAX_LEVELS = 4;
const MAX_PATHS = 20;

/** object → field → the object the field refers to. */
const references = new Map<string, Map<string, string>>();

/**
 * Says which fields of an object are references.
 *
 * @param object the value of `object` on the wire, e.g. `charge`
 * @param fields field → the object it names, e.g. `{ customer: 'customer' }`. A field may be a path
 *   into a hash, e.g. `invoice_settings.default_payment_method`. An object that nobody loads may be
 *   named too: its reference, always null, is then accepted in `expand` and stays null
 */
export function declareReferences(object: string, fields: Readonly<Record<string, string>>): void {
  const declared = references.get(object) ?? new Map<string, string>();
  for (const [field, target] of Object.entries(fields)) declared.set(field, target);
  references.set(object, declared);
}

/** What every object refers to: object → field → the object it names. */
export function declaredReferences(): ReadonlyMap<string, ReadonlyMap<string, string>> {
  return references;
}

/**
 * The `expand` parameter of an operation: a list of paths such as `latest_charge.customer`, up to
 * four levels deep, each checked before anything runs.
 *
 * @param object what the operation answers with, e.g. `payment_intent`
 * @param shape `list` where it answers with a list of them; paths then begin with `data`
 */
export function ExpandParam(
  object: string,
  shape: 'object' | 'list' = 'object',
): PropertyDecorator {
  return Param(
    (raw) => pathsOf(raw, object, shape),
    { type: 'array', items: { type: 'string' }, maxItems: MAX_PATHS },
    {
      description:
        `References to be replaced by the objects they name: paths of up to ${MAX_LEVELS} fields, ` +
        `joined by dots${shape === 'list' ? ', of which the first is data' : ''}.`,
    },
  );
}

/** Replaces references by what they name. */
@Injectable()
export class Expander {
  private readonly loaders = new Map<string, Loader>();

  /** Says how objects of one kind are loaded, in as few queries as possible. */
  register(object: string, load: Loader): void {
    this.loaders.set(object, load);
  }

  /**
   * The same answer with the references at `paths` replaced. A reference that is null, or that
   * names nothing any more, stays as it is. Changes `answer` in place and returns it.
   *
   * @param paths as `@ExpandParam` accepted them; undefined expands nothing
   */
  async expand<T extends object>(
    tenant: Tenant,
    answer: T,
    paths: readonly string[] | undefined,
  ): Promise<T> {
    // Shorter paths first, so that what a longer one goes through is there.
    const ordered = [...new Set((paths ?? []).flatMap(prefixesOf))];
    for (const path of ordered.toSorted((a, b) => a.length - b.length)) {
      const fields = path.split('.');
      const last = fields.pop() ?? '';
      await this.replace(tenant, holdersOf(answer, fields), last);
    }
    return answer;
  }

  private async replace(tenant: Tenant, holders: readonly Holder[], field: string): Promise<void> {
    const byTarget = new Map<string, Holder[]>();
    for (const holder of holders) {
      if (typeof holder.node[field] !== 'string') continue;
      const target = references.get(holder.object)?.get([...holder.path, field].join('.'));
      if (target) byTarget.set(target, [...(byTarget.get(target) ?? []), holder]);
    }
    for (const [target, found] of byTarget) {
      const load = this.loaders.get(target);
      if (!load) continue;
      const ids = [...new Set(found.map(({ node }) => node[field] as string))];
      const loaded = await load(tenant, ids);
      const byId = new Map(loaded.map((object) => [object.id, object]));
      for (const { node } of found) {
        const object = byId.get(node[field] as string);
        if (object) node[field] = object;
      }
    }
  }
}

/** A place in an answer that may have a reference among its fields. */
interface Holder {
  readonly node: Record<string, unknown>;
  /** The object this place belongs to, by its name on the wire, */
  readonly object: string;
  /** and the fields that lead from that object here. */
  readonly path: readonly string[];
}

/** The places that `fields` lead to: several where the way goes through a list. */
function holdersOf(answer: object, fields: readonly string[]): Holder[] {
  let holders = holdersAt(answer, '', []);
  for (const field of fields) {
    holders = holders.flatMap(({ node, object, path }) =>
      holdersAt(node[field], object, [...path, field]),
    );
  }
  return holders;
}

function holdersAt(value: unknown, object: string, path: readonly string[]): Holder[] {
  if (Array.isArray(value)) return value.flatMap((entry) => holdersAt(entry, object, path));
  if (typeof value !== 'object' || value === null) return [];
  const node = value as Record<string, unknown>;
  return [
    typeof node.object === 'string'
      ? { node, object: node.object, path: [] }
      : { node, object, path },
  ];
}

/** `a.b.c` → `a`, `a.b`, `a.b.c`. */
function prefixesOf(path: string): string[] {
  const fields = path.split('.');
  return fields.map((_, index) => fields.slice(0, index + 1).join('.'));
}

function pathsOf(raw: unknown, object: string, shape: 'object' | 'list'): string[] | Refused {
  const entries = entriesOf(raw);
  if (!entries) {
    return new Refused(
      (param) => `Invalid array: send ${param} as a list, e.g. ${param}[]=customer.`,
    );
  }
  if (entries.length > MAX_PATHS) {
    return new Refused((param) => `Array too long: ${param} takes at most ${MAX_PATHS} entries.`);
  }
  const paths: string[] = [];
  for (const [index, path] of entries.entries()) {
    if (path === '' || path === null) {
      return new Refused(emptyRefused().message, 'parameter_invalid_empty', `[${index}]`);
    }
    const refusal = pathRefusal(path, object, shape);
    if (refusal) return refusal;
    paths.push(path as string);
  }
  return paths;
}

function pathRefusal(path: unknown, object: string, shape: 'object' | 'list'): Refused | undefined {
  if (typeof path !== 'string') return cannotExpand(path);
  const fields = path.split('.', MAX_LEVELS + 1);
  if (fields.length > MAX_LEVELS) {
    return new Refused(
      () => `You cannot expand more than ${MAX_LEVELS} levels of a property: ${shown(path)}`,
    );
  }
  if (shape === 'object') return leadsToReference(object, fields) ? undefined : cannotExpand(path);
  const [first, ...rest] = fields;
  if (first === 'data') return leadsToReference(object, rest) ? undefined : cannotExpand(path);
  const hint = leadsToReference(object, fields)
    ? ` You may want to try expanding 'data.${path}' instead.`
    : '';
  return cannotExpand(path, hint);
}

function leadsToReference(start: string, fields: readonly string[]): boolean {
  let object = start;
  let within = '';
  for (const field of fields) {
    const declared = references.get(object);
    const target = declared?.get(within + field);
    within = target === undefined ? `${within}${field}.` : '';
    if (
      target === undefined &&
      ![...(declared?.keys() ?? [])].some((key) => key.startsWith(within))
    )
      return false;
    object = target ?? object;
  }
  return within === '' && fields.length > 0;
}

function cannotExpand(path: unknown, hint = ''): Refused {
  return new Refused(() => `This property cannot be expanded (${shown(path)}).${hint}`);
}
