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

/** The objects with these ids that the tenant can see: new ones at each call, in any order. */
export type Loader = (tenant: Tenant, ids: readonly string[]) => Promise<readonly WireObject[]>;

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
      const target = declaredReferences()
        .get(holder.object)
        ?.get([...holder.path, field].join('.'));
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
