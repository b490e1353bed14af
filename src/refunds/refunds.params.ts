/** The parameters of every operation on refunds. */
import {
  ExpandParam,
  IsAmount,
  IsOneOf,
  IsText,
  ListParams,
  type MetadataChange,
  MetadataParam,
} from '../wire';

export class CreateRefundParams {
  @IsAmount({ description: 'What is paid back. Default: all that is left.' })
  amount?: number;

  @IsText({ max: 255 })
  charge?: string;

  @ExpandParam('refund')
  expand?: string[];

  @MetadataParam()
  metadata?: MetadataChange;

  @IsText({ max: 255 })
  payment_intent?: string;

  @IsOneOf(['duplicate', 'fraudulent', 'requested_by_customer'])
  reason?: string;
}

export class UpdateRefundParams {
  @ExpandParam('refund')
  expand?: string[];

  @MetadataParam()
  metadata?: MetadataChange;
}

/** For retrieve and cancel, which take nothing else. */
export class ExpandRefundParams {
  @ExpandParam('refund')
  expand?: string[];
}

export class ListRefundsParams extends ListParams {
  @IsText({ max: 255 })
  charge?: string;

  @IsText({ max: 255 })
  payment_intent?: string;

  @ExpandParam('refund', 'list')
  expand?: string[];
}
