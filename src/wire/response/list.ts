/** The list that a list operation responds with. */
import type { Page } from '../../database';
import {
  arrayOf,
  flag,
  literal,
  named,
  object,
  type Schema,
  text,
  type TypeOf,
} from '../schema/schema';

/**
 * A list as it goes over the wire (https://docs.stripe.com/api/pagination).
 *
 * @param name of the list in the OpenAPI document
 */
export function listSchema<T>(name: string, entry: Schema<T>) {
  return named(
    name,
    object({
      object: literal('list'),
      data: arrayOf(entry),
      has_more: flag('Whether there are more objects behind this page.'),
      url: text('The path that was asked.'),
    }),
  );
}
export type WireList<T> = TypeOf<ReturnType<typeof listSchema<T>>>;

/** A page of rows as a list on the wire. */
export function listOf<E, T>(url: string, page: Page<E>, toWire: (row: E) => T): WireList<T> {
  return { object: 'list', data: page.data.map(toWire), has_more: page.hasMore, url };
}
