/** Lists in responses (https://docs.stripe.com/api/pagination). */
import type { RowPage } from '../../database';
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
 * The schema of a list on the wire.
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
      url: text('The path of the request.'),
    }),
  );
}
export type WireList<T> = TypeOf<ReturnType<typeof listSchema<T>>>;

/** @param url the path of the list, e.g. `/v1/customers` */
export function listOf<E, T>(url: string, page: RowPage<E>, toWire: (row: E) => T): WireList<T> {
  return { object: 'list', data: page.data.map(toWire), has_more: page.hasMore, url };
}
