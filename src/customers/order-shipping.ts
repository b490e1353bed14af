/** Where an order is shipped to, and by whom: a part of payment intents and charges. */
import { IsText, named, object, orNull, text, type TypeOf } from '../wire';
import { addressSchema } from './customer-fields';
import { shippingOf, ShippingParams } from './customers.params';

/** Stored and shown in this form. */
export const orderShippingSchema = named(
  'Shipping',
  object({
    address: addressSchema,
    carrier: orNull(text()),
    name: text(),
    phone: orNull(text()),
    tracking_number: orNull(text()),
  }),
);
export type OrderShipping = TypeOf<typeof orderShippingSchema>;

/** `shipping` in a request; it replaces the stored one as a whole. */
export class OrderShippingParams extends ShippingParams {
  @IsText({ unsettable: true })
  carrier?: string | null;

  @IsText({ unsettable: true })
  tracking_number?: string | null;
}

/** The stored form of a request's `shipping`; undefined where the request leaves it alone. */
export function orderShippingOf(
  param: OrderShippingParams | null | undefined,
): OrderShipping | null | undefined {
  if (!param) return param;
  const { carrier = null, tracking_number = null } = param;
  return { ...shippingOf(param), carrier, tracking_number };
}
