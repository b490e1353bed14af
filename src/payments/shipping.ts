import { ShippingParams } from '../customers';
import { IsText } from '../wire';

/** A postal address as it is stored and answered. */
export interface Address {
  readonly city: string | null;
  readonly country: string | null;
  readonly line1: string | null;
  readonly line2: string | null;
  readonly postal_code: string | null;
  readonly state: string | null;
}

/** Where an order goes, as it is stored and answered. */
export interface Shipping {
  readonly address: Address;
  readonly carrier: string | null;
  readonly name: string;
  readonly phone: string | null;
  readonly tracking_number: string | null;
}

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
  const { city, country, line1, line2, postal_code, state } = param.address;
  return {
    address: {
      city: city ?? null,
      country: country ?? null,
      line1: line1 ?? null,
      line2: line2 ?? null,
      postal_code: postal_code ?? null,
      state: state ?? null,
    },
    carrier: param.carrier ?? null,
    name: param.name,
    phone: param.phone ?? null,
    tracking_number: param.tracking_number ?? null,
  };
}
