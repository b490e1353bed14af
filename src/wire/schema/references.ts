/** Which fields of an object refer to other objects: the only fields that `expand[]` accepts. */

/** object → field → the object the field refers to. */
const references = new Map<string, Map<string, string>>();

/**
 * Declares which fields of an object are references. Call it when the module's file is loaded.
 *
 * @param object the value of `object` on the wire, e.g. `charge`
 * @param fields field → the object it names, e.g. `{ customer: 'customer' }`. A field may be a path
 *   into a hash, e.g. `invoice_settings.default_payment_method`. An object without a loader may be
 *   named too: `expand` then accepts its reference, which is always null
 */
export function declareReferences(object: string, fields: Readonly<Record<string, string>>): void {
  const declared = references.get(object) ?? new Map<string, string>();
  for (const [field, target] of Object.entries(fields)) declared.set(field, target);
  references.set(object, declared);
}

/** All references: object → field → the object it names. */
export function declaredReferences(): ReadonlyMap<string, ReadonlyMap<string, string>> {
  return references;
}
