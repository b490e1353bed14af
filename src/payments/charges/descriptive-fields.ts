/**
 * The fields that describe a payment. This server only stores and shows them. One list for payment intents
 * and charges, because a charge gets a copy of its payment intent's.
 */
import { type OrderShippingParams, orderShippingOf, orderShippingSchema } from '../../customers';
import {
  InvalidRequestError,
  mergeMetadata,
  type MetadataChange,
  orNull,
  storedAs,
  StoredFields,
  text,
  textsByName,
} from '../../wire';
import type { DescribedEntity } from './described.entity';

/** Their columns are those of `DescribedEntity`. */
export const descriptiveFields = new StoredFields({
  description: storedAs('description', orNull(text()), null),
  metadata: storedAs('metadata', textsByName(), {}),
  receipt_email: storedAs('receiptEmail', orNull(text()), null),
  shipping: storedAs('shipping', orNull(orderShippingSchema), null),
  statement_descriptor: storedAs('statementDescriptor', orNull(text()), null),
  statement_descriptor_suffix: storedAs('statementDescriptorSuffix', orNull(text()), null),
  transfer_group: storedAs(
    'transferGroup',
    orNull(text('The group of payments that this one is in.')),
    null,
  ),
});

type FieldName = keyof typeof descriptiveFields.schemas;

/** What a request says of them: some operations take a few of them only. */
type DescriptiveParams = {
  readonly [N in Exclude<FieldName, 'metadata' | 'shipping'>]?: string | null;
} & { readonly metadata?: MetadataChange; readonly shipping?: OrderShippingParams | null };

/** What an INSERT stores of them. */
export function newDescription(params: DescriptiveParams) {
  return descriptiveFields.newRow({
    ...params,
    metadata: mergeMetadata({}, params.metadata),
    shipping: orderShippingOf(params.shipping),
  });
}

/**
 * What an UPDATE sets of them: undefined for those that the request leaves alone.
 *
 * @param before the row, locked; undefined where the request names neither metadata nor transfer_group
 * @throws InvalidRequestError (400) for another `transfer_group` than the row has: "You can only provide
 * `transfer_group` if it hasn't been set" (https://docs.stripe.com/api/payment_intents/update)
 */
export function changedDescription(params: DescriptiveParams, before?: DescribedEntity) {
  const { metadata, shipping, transfer_group } = params;
  const group = before?.transferGroup ?? null;
  if (transfer_group !== undefined && group !== null && transfer_group !== group) {
    throw new InvalidRequestError(
      `transfer_group is ${group} and can be set only once. Leave it out of this request.`,
      { param: 'transfer_group' },
    );
  }
  return descriptiveFields.changes({
    ...params,
    metadata: metadata === undefined ? undefined : mergeMetadata(before?.metadata ?? {}, metadata),
    shipping: orderShippingOf(shipping),
  });
}
