/** Which fields of an object refer to other objects. `expand[]` accepts these fields and no others. */

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
