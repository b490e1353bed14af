/** The parameter `expand[]` (https://docs.stripe.com/api/expanding_objects). */
import { excerpt } from '../errors/api.errors';
import { declaredReferences } from '../schema/references';
import { emptyRefusal, entriesOf, Refusal } from './raw-values';
import { Param } from './params';

const MAX_LEVELS = 4;
const MAX_PATHS = 20;

/**
 * The `expand` parameter of an operation: up to 20 paths such as `latest_charge.customer`, up to four
 * levels deep. Every path is checked before the operation runs.
 *
 * @param object the operation's response, e.g. `payment_intent`
 * @param shape `list` if the response is a list of these objects; paths then begin with `data`
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

function pathsOf(raw: unknown, object: string, shape: 'object' | 'list'): string[] | Refusal {
  const entries = entriesOf(raw);
  if (!entries) {
    return new Refusal(
      (param) => `Invalid array: send ${param} as a list, e.g. ${param}[]=customer.`,
    );
  }
  if (entries.length > MAX_PATHS) {
    return new Refusal((param) => `Array too long: ${param} takes at most ${MAX_PATHS} entries.`);
  }
  const paths: string[] = [];
  for (const [index, path] of entries.entries()) {
    if (path === '' || path === null) {
      return new Refusal(emptyRefusal().message, 'parameter_invalid_empty', `[${index}]`);
    }
    const refusal = pathRefusal(path, object, shape);
    if (refusal) return refusal;
    paths.push(path as string);
  }
  return paths;
}

function pathRefusal(path: unknown, object: string, shape: 'object' | 'list'): Refusal | undefined {
  if (typeof path !== 'string') return expansionRefusal(path);
  const fields = path.split('.', MAX_LEVELS + 1);
  if (fields.length > MAX_LEVELS) {
    return new Refusal(
      () => `You cannot expand more than ${MAX_LEVELS} levels of a property: ${excerpt(path)}`,
    );
  }
  if (shape === 'object')
    return leadsToReference(object, fields) ? undefined : expansionRefusal(path);
  const [first, ...rest] = fields;
  if (first === 'data') return leadsToReference(object, rest) ? undefined : expansionRefusal(path);
  const hint = leadsToReference(object, fields)
    ? ` You may want to try expanding 'data.${path}' instead.`
    : '';
  return expansionRefusal(path, hint);
}

/** Whether a path from an object ends at a reference. References inside hashes have dots in their name. */
function leadsToReference(start: string, fields: readonly string[]): boolean {
  let object = start;
  let prefix = '';
  for (const field of fields) {
    const references = declaredReferences().get(object);
    const target = references?.get(prefix + field);
    prefix = target === undefined ? `${prefix}${field}.` : '';
    const isHash = [...(references?.keys() ?? [])].some((key) => key.startsWith(prefix));
    if (target === undefined && !isHash) return false;
    object = target ?? object;
  }
  return prefix === '' && fields.length > 0;
}

function expansionRefusal(path: unknown, hint = ''): Refusal {
  return new Refusal(() => `This property cannot be expanded (${excerpt(path)}).${hint}`);
}
