/** The parameters of every operation on payment methods. */
import { ExpandParam, IsOneOf, IsText, ListQuery } from '../../wire';

export class AttachPaymentMethod {
  @IsText({ max: 255, required: true })
  customer: string;

  @ExpandParam('payment_method')
  expand?: string[];
}

export class RetrievePaymentMethod {
  @ExpandParam('payment_method')
  expand?: string[];
}

/** The path names the customer. */
export class ListCustomerPaymentMethods extends ListQuery {
  @IsOneOf(['card'])
  type?: 'card';

  @ExpandParam('payment_method', 'list')
  expand?: string[];
}

export class ListPaymentMethods extends ListCustomerPaymentMethods {
  @IsText({ max: 255 })
  customer?: string;
}
