/** Where an order goes: a customer's shipping address, and the parcel's. */
import { IsText, named, object, orNull, text, type TypeOf } from '../wire';
import { addressSchema } from './customer.wire';
import { shippingOf, ShippingParams } from './customers.params';

/** Where an order goes, as it is stored and shown. */
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

/** `shipping` in a request; it replaces what was there as a whole. */
export class OrderShippingParams extends ShippingParams {
  @IsText({ unsettable: true })
  carrier?: string | null;

  @IsText({ unsettable: true })
  tracking_number?: string | null;
}

/** What a request's `shipping` is stored as; undefined where the request does not speak of it. */
export function orderShippingOf(
  param: OrderShippingParams | null | undefined,
): OrderShipping | null | undefined {
  if (!param) return param;
  const { carrier = null, tracking_number = null } = param;
  return { ...shippingOf(param), carrier, tracking_number };
}
