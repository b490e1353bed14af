/** The parameter `expand[]`, each of whose paths is checked before anything runs. */
import { excerpt } from '../errors/api.errors';
import { declaredReferences } from '../schema/references';
import { emptyRefusal, entriesOf, Refusal } from './raw-values';
import { Param } from './params';

const MAX_LEVELS = 4;
const MAX_PATHS = 20;

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
  if (typeof path !== 'string') return cannotExpand(path);
  const fields = path.split('.', MAX_LEVELS + 1);
  if (fields.length > MAX_LEVELS) {
    return new Refusal(
      () => `You cannot expand more than ${MAX_LEVELS} levels of a property: ${excerpt(path)}`,
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
    const declared = declaredReferences().get(object);
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

function cannotExpand(path: unknown, hint = ''): Refusal {
  return new Refusal(() => `This property cannot be expanded (${excerpt(path)}).${hint}`);
}
