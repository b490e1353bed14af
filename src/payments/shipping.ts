import { addressSchema, shippingOf as customerShippingOf, ShippingParams } from '../customers';
import { IsText, named, object, orNull, text, type TypeOf } from '../wire';

/** Where an order goes, as it is stored and answered. */
export const shippingSchema = named(
  'Shipping',
  object({
    address: addressSchema,
    carrier: orNull(text()),
    name: text(),
    phone: orNull(text()),
    tracking_number: orNull(text()),
  }),
);
export type Shipping = TypeOf<typeof shippingSchema>;

/** `shipping` in a request; it replaces what was there as a whole. */
export class ShippingParam extends ShippingParams {
  @IsText({ unsettable: true })
  carrier?: string | null;

  @IsText({ unsettable: true })
  tracking_number?: string | null;
}

/** What a request's `shipping` is stored as; undefined where the request does not speak of it. */
export function shippingOf(param: ShippingParam | null | undefined): Shipping | null | undefined {
  if (!param) return param;
  const { carrier = null, tracking_number = null } = param;
  return { ...customerShippingOf(param), carrier, tracking_number };
}
