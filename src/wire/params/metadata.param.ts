/** The parameter `metadata` (https://docs.stripe.com/api/metadata). */
import { InvalidRequestError, excerpt } from '../errors/api.errors';
import { Param } from './params';
import { isHash, notAHashRefusal, Refusal } from './raw-values';

/** An object's metadata: strings by key. */
export type Metadata = Record<string, string>;

/** Changes to metadata: `''` removes an entry, null removes all of them. */
export type MetadataChange = Record<string, string> | null;

const MAX_ENTRIES = 50;
const MAX_KEY_LENGTH = 40;
const MAX_VALUE_LENGTH = 500;

/**
 * Metadata in a request: up to 50 keys of up to 40 characters without square brackets, values of up to
 * 500. `metadata[key]=` removes one entry, `metadata=` removes all. Numbers and booleans in JSON become
 * strings. The property has the type `MetadataChange`; `mergeMetadata` applies it.
 */
export function MetadataParam(): PropertyDecorator {
  const schema = {
    type: 'object',
    additionalProperties: { type: 'string', maxLength: MAX_VALUE_LENGTH },
    propertyNames: { minLength: 1, maxLength: MAX_KEY_LENGTH, pattern: '^[^[\\]]*$' },
    maxProperties: MAX_ENTRIES,
  };
  return Param(changeOf, schema, {
    unsettable: true,
    description:
      `Up to ${MAX_ENTRIES} texts of your own. What is left out stays as it is, an empty text ` +
      'removes its entry, null removes them all.',
  });
}

/**
 * The metadata after a change. Entries that the change leaves out stay; undefined changes nothing.
 *
 * @throws InvalidRequestError (400) if more than 50 entries would remain
 */
export function mergeMetadata(current: Metadata, change: MetadataChange | undefined): Metadata {
  if (change === null) return {};
  const entries = Object.entries({ ...current, ...change }).filter(([, value]) => value !== '');
  if (entries.length <= MAX_ENTRIES) return Object.fromEntries(entries);
  throw new InvalidRequestError(
    `Metadata takes at most ${MAX_ENTRIES} keys and this object would have ${entries.length}. ` +
      'Remove some with metadata[key]= first.',
    { param: 'metadata' },
  );
}

function changeOf(raw: unknown): Metadata | Refusal {
  if (!isHash(raw)) return notAHashRefusal();
  const change = new Map<string, string>();
  for (const [key, value] of Object.entries(raw)) {
    const text = isScalar(value) ? String(value ?? '') : undefined;
    const refusal = keyRefusal(key) ?? valueRefusal(text, value);
    if (refusal)
      return new Refusal(refusal.message, undefined, `[${key.slice(0, MAX_KEY_LENGTH)}]`);
    change.set(key, text ?? '');
  }
  return Object.fromEntries(change);
}

function isScalar(value: unknown): value is string | number | boolean | null {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}

function keyRefusal(key: string): Refusal | undefined {
  if (key === '') return new Refusal(() => 'Metadata keys cannot be empty.');
  if (/[[\]]/.test(key)) {
    return new Refusal(() => `Metadata keys cannot contain square brackets: ${excerpt(key)}`);
  }
  if (key.length <= MAX_KEY_LENGTH) return undefined;
  return new Refusal(
    () =>
      `Metadata keys take at most ${MAX_KEY_LENGTH} characters; "${excerpt(key)}" has ${key.length}.`,
  );
}

function valueRefusal(text: string | undefined, raw: unknown): Refusal | undefined {
  if (text === undefined) {
    return new Refusal(
      (param) => `Metadata values must be strings, not ${excerpt(raw)}; flatten ${param} first.`,
    );
  }
  if (text.length <= MAX_VALUE_LENGTH) return undefined;
  return new Refusal(
    (param) =>
      `Metadata values take at most ${MAX_VALUE_LENGTH} characters; ${param} has ${text.length}.`,
  );
}
