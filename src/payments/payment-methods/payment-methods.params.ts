/** The parameters of every operation on payment methods. */
import { ExpandParam, IsOneOf, IsText, ListParams } from '../../wire';

export class AttachPaymentMethodParams {
  @IsText({ max: 255, required: true })
  customer: string;

  @ExpandParam('payment_method')
  expand?: string[];
}

export class RetrievePaymentMethodParams {
  @ExpandParam('payment_method')
  expand?: string[];
}

/** The path names the customer. */
export class ListCustomerPaymentMethodsParams extends ListParams {
  @IsOneOf(['card'])
  type?: 'card';

  @ExpandParam('payment_method', 'list')
  expand?: string[];
}

export class ListPaymentMethodsParams extends ListCustomerPaymentMethodsParams {
  @IsText({ max: 255 })
  customer?: string;
}
