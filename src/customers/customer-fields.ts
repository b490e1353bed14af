/** The fields of a customer that this server only stores and shows. */
import {
  arrayOf,
  named,
  object,
  orNull,
  storedAs,
  StoredFields,
  text,
  textsByName,
  type TypeOf,
} from '../wire';

export const addressSchema = named(
  'Address',
  object(
    {
      city: orNull(text()),
      country: orNull(text()),
      line1: orNull(text()),
      line2: orNull(text()),
      postal_code: orNull(text()),
      state: orNull(text()),
    },
    'Null for every line not known.',
  ),
);
/** A postal address, stored and shown in this form. */
export type PostalAddress = TypeOf<typeof addressSchema>;

const shippingSchema = object({ address: addressSchema, name: text(), phone: orNull(text()) });
/** Where the orders of a customer are shipped to, stored and shown in this form. */
export type Shipping = TypeOf<typeof shippingSchema>;

/** A deleted customer keeps none of them. */
export const customerFields = new StoredFields({
  address: storedAs('address', orNull(addressSchema), null),
  description: storedAs('description', orNull(text()), null),
  email: storedAs('email', orNull(text()), null),
  metadata: storedAs('metadata', textsByName(), {}),
  name: storedAs('name', orNull(text()), null),
  phone: storedAs('phone', orNull(text()), null),
  preferred_locales: storedAs('preferredLocales', arrayOf(text()), []),
  shipping: storedAs('shipping', orNull(shippingSchema), null),
  tax_exempt: storedAs('taxExempt', text('none, exempt or reverse.'), 'none'),
});
