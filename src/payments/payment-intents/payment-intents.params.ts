/** The parameters of every operation on payment intents. */
import {
  ExpandParam,
  IsAmount,
  IsCurrency,
  IsEmailAddress,
  IsFlag,
  IsObjectOf,
  IsOneOf,
  IsReturnUrl,
  IsText,
  IsTextList,
  ListParams,
  type MetadataChange,
  MetadataParam,
  Param,
  Refusal,
} from '../../wire';
import { MAX_DESCRIPTOR_LENGTH } from '../charges/charges.params';
import { CAPTURE_METHODS, type CaptureMethod } from './payment-intent.states';
import { OrderShippingParams } from '../../customers';

const USAGES = ['off_session', 'on_session'];
const PAYMENT_METHOD = 'Id of a payment method, or a token of the sandbox such as pm_card_visa.';
const CAPTURED_AMOUNT =
  'What is captured of the authorised amount; the rest is released. Default: all of it.';

class AutomaticPaymentMethodsParam {
  @IsFlag({ required: true })
  enabled: boolean;

  @IsOneOf(['always', 'never'])
  allow_redirects?: string;
}

/** `one_off` and `recurring` say why the buyer is away; both mean `true`. */
function IsOffSession(): PropertyDecorator {
  return Param(
    (raw) => {
      if (raw === true || raw === 'true' || raw === 'one_off' || raw === 'recurring') return true;
      if (raw === false || raw === 'false') return false;
      return new Refusal((param) => `Invalid ${param}: send true or false.`);
    },
    { anyOf: [{ type: 'boolean' }, { type: 'string', enum: ['one_off', 'recurring'] }] },
    { description: 'The buyer is not there to authenticate: a card that asks for it declines.' },
  );
}

/** The parameters that create and update share. */
class PaymentIntentFields {
  @IsOneOf(CAPTURE_METHODS)
  capture_method?: CaptureMethod;

  @IsText({ max: 255 })
  customer?: string;

  @IsText({ max: 1000, unsettable: true })
  description?: string | null;

  @ExpandParam('payment_intent')
  expand?: string[];

  @MetadataParam()
  metadata?: MetadataChange;

  @IsText({ max: 255, description: PAYMENT_METHOD })
  payment_method?: string;

  @IsTextList({ max: 20 })
  payment_method_types?: string[];

  @IsEmailAddress({ unsettable: true })
  receipt_email?: string | null;

  @IsOneOf(USAGES, { unsettable: true })
  setup_future_usage?: 'off_session' | 'on_session' | null;

  @IsObjectOf(() => OrderShippingParams, { unsettable: true })
  shipping?: OrderShippingParams | null;

  @IsText({ max: MAX_DESCRIPTOR_LENGTH, unsettable: true })
  statement_descriptor?: string | null;

  @IsText({ max: MAX_DESCRIPTOR_LENGTH, unsettable: true })
  statement_descriptor_suffix?: string | null;

  @IsText({ description: 'The group of payments that this one is in. It can be set once.' })
  transfer_group?: string;
}

export class CreatePaymentIntentParams extends PaymentIntentFields {
  @IsAmount()
  amount: number;

  @IsCurrency()
  currency: string;

  @IsObjectOf(() => AutomaticPaymentMethodsParam)
  automatic_payment_methods?: AutomaticPaymentMethodsParam;

  @IsFlag({ description: 'Charges the payment method at once.' })
  confirm?: boolean;

  @IsOneOf(['automatic', 'manual'])
  confirmation_method?: 'automatic' | 'manual';

  @IsOffSession()
  off_session?: boolean;

  @IsReturnUrl()
  return_url?: string;
}

export class UpdatePaymentIntentParams extends PaymentIntentFields {
  @IsAmount({})
  amount?: number;

  @IsCurrency({})
  currency?: string;
}

export class ConfirmPaymentIntentParams {
  @IsOneOf(CAPTURE_METHODS)
  capture_method?: CaptureMethod;

  @ExpandParam('payment_intent')
  expand?: string[];

  @IsOffSession()
  off_session?: boolean;

  @IsText({ max: 255, description: PAYMENT_METHOD })
  payment_method?: string;

  @IsTextList({ max: 20 })
  payment_method_types?: string[];

  @IsEmailAddress({ unsettable: true })
  receipt_email?: string | null;

  @IsReturnUrl()
  return_url?: string;

  @IsOneOf(USAGES, { unsettable: true })
  setup_future_usage?: 'off_session' | 'on_session' | null;

  @IsObjectOf(() => OrderShippingParams, { unsettable: true })
  shipping?: OrderShippingParams | null;
}

export class CapturePaymentIntentParams {
  @IsAmount({ description: CAPTURED_AMOUNT })
  amount_to_capture?: number;

  @ExpandParam('payment_intent')
  expand?: string[];

  @MetadataParam()
  metadata?: MetadataChange;

  @IsText({ max: MAX_DESCRIPTOR_LENGTH })
  statement_descriptor?: string;

  @IsText({ max: MAX_DESCRIPTOR_LENGTH })
  statement_descriptor_suffix?: string;
}

export class CancelPaymentIntentParams {
  @IsOneOf(['abandoned', 'duplicate', 'fraudulent', 'requested_by_customer'])
  cancellation_reason?: string;

  @ExpandParam('payment_intent')
  expand?: string[];
}

export class RetrievePaymentIntentParams {
  @ExpandParam('payment_intent')
  expand?: string[];

  @IsText({
    max: 255,
    description: 'Accepted from clients that send it; the API key says enough.',
  })
  client_secret?: string;
}

export class ListPaymentIntentsParams extends ListParams {
  @IsText({ max: 255 })
  customer?: string;

  @ExpandParam('payment_intent', 'list')
  expand?: string[];
}
