/** The parameters of every operation on charges. */
import {
  ExpandParam,
  IsAmount,
  IsCurrency,
  IsEmailAddress,
  IsFlag,
  IsObjectOf,
  IsText,
  ListParams,
  type MetadataChange,
  MetadataParam,
} from '../../wire';
import { OrderShippingParams } from '../../customers';

/** Characters of a statement descriptor. */
export const MAX_DESCRIPTOR_LENGTH = 22;

/** The parameters that create and update share. */
class ChargeFields {
  @IsText({ max: 255 })
  customer?: string;

  @IsText({ max: 1000, unsettable: true })
  description?: string | null;

  @ExpandParam('charge')
  expand?: string[];

  @MetadataParam()
  metadata?: MetadataChange;

  @IsEmailAddress({ unsettable: true })
  receipt_email?: string | null;

  @IsObjectOf(() => OrderShippingParams, { unsettable: true })
  shipping?: OrderShippingParams | null;

  @IsText({ description: 'The group of payments that this one is in. It can be set once.' })
  transfer_group?: string;
}

export class CreateChargeParams extends ChargeFields {
  @IsAmount()
  amount: number;

  @IsCurrency()
  currency: string;

  @IsFlag({ description: 'False only authorises. Default true.' })
  capture?: boolean;

  @IsText({
    max: 255,
    description:
      "A token of the sandbox such as tok_visa, or the id of one of the customer's payment methods.",
  })
  source?: string;

  @IsText({ max: MAX_DESCRIPTOR_LENGTH, unsettable: true })
  statement_descriptor?: string | null;

  @IsText({ max: MAX_DESCRIPTOR_LENGTH, unsettable: true })
  statement_descriptor_suffix?: string | null;
}

export class UpdateChargeParams extends ChargeFields {}

export class CaptureChargeParams {
  @IsAmount({
    description:
      'What is captured of the authorised amount; the rest is released. Default: all of it.',
  })
  amount?: number;

  @ExpandParam('charge')
  expand?: string[];

  @IsEmailAddress()
  receipt_email?: string;

  @IsText({ max: MAX_DESCRIPTOR_LENGTH })
  statement_descriptor?: string;

  @IsText({ max: MAX_DESCRIPTOR_LENGTH })
  statement_descriptor_suffix?: string;
}

export class RetrieveChargeParams {
  @ExpandParam('charge')
  expand?: string[];
}

export class ListChargesParams extends ListParams {
  @IsText({ max: 255 })
  customer?: string;

  @IsText({ max: 255 })
  payment_intent?: string;

  @ExpandParam('charge', 'list')
  expand?: string[];
}
