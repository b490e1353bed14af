/** The order of a resource's fields in responses and in the OpenAPI document: `id`, `object`, then by name. */

/** The schemas of a resource in this order. */
export function inOrder<T extends { readonly id: unknown; readonly object: unknown }>(
  fields: T,
): T {
  const { id, object, ...others } = fields;
  const byName = Object.entries(others).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return { id, object, ...Object.fromEntries(byName) } as unknown as T;
}

/**
 * The same names with null as their values. A response begins with them: a member that a later one of the
 * same name replaces keeps its place. Sorting each response would cost twenty times as much.
 */
export function blankOf(fields: object): object {
  return Object.fromEntries(Object.keys(fields).map((name) => [name, null]));
}
