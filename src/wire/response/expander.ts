/**
 * Expansion of responses (https://docs.stripe.com/api/expanding_objects): a reference, which is an id,
 * is replaced by the object it names, in objects and lists alike.
 */
import { Injectable } from '@nestjs/common';
import type { Tenant } from '../../database';
import { declaredReferences } from '../schema/references';

/** An object in the shape it has on the wire. */
export interface WireObject {
  readonly id: string;
  readonly object: string;
}

/** Loads the objects with these ids that the tenant can see, in any order. It returns new objects at each call. */
export type Loader = (tenant: Tenant, ids: readonly string[]) => Promise<readonly WireObject[]>;

/** Replaces references in responses by the objects they name. */
@Injectable()
export class Expander {
  private readonly loaders = new Map<string, Loader>();

  /** Sets how objects of one kind are loaded. Call it when the module starts. */
  register(object: string, load: Loader): void {
    this.loaders.set(object, load);
  }

  /**
   * Replaces the references at `paths` by their objects, with one query for each path and kind of object.
   * A reference that is null, or whose object the tenant cannot see, stays as it is. Changes `wireObject`
   * in place and returns it.
   *
   * @param paths as `@ExpandParam` accepted them; undefined expands nothing
   */
  async expand<T extends object>(
    tenant: Tenant,
    wireObject: T,
    paths: readonly string[] | undefined,
  ): Promise<T> {
    // Shorter paths first: a longer path goes through objects that they have loaded.
    const ordered = [...new Set((paths ?? []).flatMap(prefixesOf))];
    for (const path of ordered.toSorted((a, b) => a.length - b.length)) {
      const fields = path.split('.');
      const last = fields.pop() ?? '';
      await this.replace(tenant, holdersOf(wireObject, fields), last);
    }
    return wireObject;
  }

  private async replace(tenant: Tenant, holders: readonly Holder[], field: string): Promise<void> {
    const byTarget = new Map<string, Holder[]>();
    for (const holder of holders) {
      if (typeof holder.node[field] !== 'string') continue;
      const references = declaredReferences().get(holder.object);
      const target = references?.get([...holder.path, field].join('.'));
      if (target) byTarget.set(target, [...(byTarget.get(target) ?? []), holder]);
    }
    for (const [target, targetHolders] of byTarget) {
      const load = this.loaders.get(target);
      if (!load) continue;
      const ids = [...new Set(targetHolders.map(({ node }) => node[field] as string))];
      const loaded = await load(tenant, ids);
      const byId = new Map(loaded.map((object) => [object.id, object]));
      for (const { node } of targetHolders) {
        const object = byId.get(node[field] as string);
        if (object) node[field] = object;
      }
    }
  }
}

/** An object or hash inside a response whose fields may be references. */
interface Holder {
  readonly node: Record<string, unknown>;
  /** The kind of the object that holds it. */
  readonly object: string;
  /** The fields that lead from this object to the node. */
  readonly path: readonly string[];
}

/** The holders that `fields` lead to: several if the path goes through a list. */
function holdersOf(wireObject: object, fields: readonly string[]): Holder[] {
  let holders = holdersAt(wireObject, '', []);
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
