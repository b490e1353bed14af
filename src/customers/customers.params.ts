/** The parameters of every operation on customers. */
import {
  ExpandParam,
  IsEmailAddress,
  IsObjectOf,
  IsOneOf,
  IsText,
  IsTextList,
  ListParams,
  MetadataParam,
  Param,
  Refusal,
  type MetadataChange,
} from '../wire';
import type { PostalAddress, Shipping } from './customer-fields';

const INVOICE_PREFIX = /^[A-Z0-9]{3,12}$/;

/** `address[line1]=…`; a line that is left out or empty is null. */
export class AddressParams {
  @IsText({ unsettable: true })
  city?: string | null;

  @IsText({ unsettable: true })
  country?: string | null;

  @IsText({ unsettable: true })
  line1?: string | null;

  @IsText({ unsettable: true })
  line2?: string | null;

  @IsText({ unsettable: true })
  postal_code?: string | null;

  @IsText({ unsettable: true })
  state?: string | null;
}

/** `shipping[name]=…&shipping[address][line1]=…` */
export class ShippingParams {
  @IsObjectOf(() => AddressParams, { required: true })
  address: AddressParams;

  @IsText({ required: true })
  name: string;

  @IsText({ unsettable: true })
  phone?: string | null;
}

export class InvoiceSettingsParams {
  @IsText({
    unsettable: true,
    description: 'Id of a payment method that is attached to the customer.',
  })
  default_payment_method?: string | null;
}

/** The parameters that create and update share. Null unsets. */
export class CustomerParams {
  @IsObjectOf(() => AddressParams, { unsettable: true })
  address?: AddressParams | null;

  @IsText({ unsettable: true })
  description?: string | null;

  @IsEmailAddress({ unsettable: true })
  email?: string | null;

  @ExpandParam('customer')
  expand?: string[];

  @Param(invoicePrefixOf, { type: 'string', pattern: INVOICE_PREFIX.source })
  invoice_prefix?: string;

  @IsObjectOf(() => InvoiceSettingsParams)
  invoice_settings?: InvoiceSettingsParams;

  @MetadataParam()
  metadata?: MetadataChange;

  @IsText({ unsettable: true, max: 256 })
  name?: string | null;

  @IsText({ unsettable: true, max: 20 })
  phone?: string | null;

  @IsTextList({ unsettable: true })
  preferred_locales?: string[] | null;

  @IsObjectOf(() => ShippingParams, { unsettable: true })
  shipping?: ShippingParams | null;

  @IsText({
    description: 'A token such as tok_visa: becomes the payment method that pays by default.',
  })
  source?: string;

  @IsOneOf(['none', 'exempt', 'reverse'], { unsettable: true })
  tax_exempt?: string | null;
}

export class CreateCustomerParams extends CustomerParams {
  @IsText({ description: 'A payment method to attach, such as pm_card_visa.' })
  payment_method?: string;
}

export class UpdateCustomerParams extends CustomerParams {
  @IsText({ unsettable: true, description: 'Id of a payment method that is attached already.' })
  default_source?: string | null;
}

export class RetrieveCustomerParams {
  @ExpandParam('customer')
  expand?: string[];
}

/** Deleting takes no parameters. */
export class DeleteCustomerParams {}

export class ListCustomersParams extends ListParams {
  @IsText({ max: 512, description: 'Compared exactly, upper and lower case included.' })
  email?: string;

  @ExpandParam('customer', 'list')
  expand?: string[];
}

/** The stored form of a request's address. */
export function addressOf(params: AddressParams): PostalAddress {
  const { city, country, line1, line2, postal_code, state } = params;
  return {
    city: city ?? null,
    country: country ?? null,
    line1: line1 ?? null,
    line2: line2 ?? null,
    postal_code: postal_code ?? null,
    state: state ?? null,
  };
}

/** The stored form of a request's shipping. */
export function shippingOf(params: ShippingParams): Shipping {
  const { address, name, phone } = params;
  return { address: addressOf(address), name, phone: phone ?? null };
}

function invoicePrefixOf(raw: unknown): string | Refusal {
  if (typeof raw === 'string' && INVOICE_PREFIX.test(raw)) return raw;
  return new Refusal((param) => `Invalid ${param}: it takes 3 to 12 upper-case letters or digits.`);
}
