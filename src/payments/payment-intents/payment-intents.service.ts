/** The operations on payment intents: the way of a payment, phase by phase. */
import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { Tenant } from '../../database';
import { Gateways } from '../../gateway';
import type { Phases } from '../../idempotency';
import { API_PATH, Expander, listOf } from '../../wire';
import { PaymentIntentCapture } from './payment-intent-capture';
import { PaymentIntentChange } from './payment-intent-change';
import { PaymentIntentConfirmation, type ReservedPayment } from './payment-intent-confirmation';
import { PaymentIntentCreation } from './payment-intent-creation';
import type { PaymentIntentEntity } from './payment-intent.entity';
import { type PaymentIntentObject, paymentIntentToWire } from './payment-intent.wire';
import type {
  CancelPaymentIntentParams,
  CapturePaymentIntentParams,
  ConfirmPaymentIntentParams,
  CreatePaymentIntentParams,
  ListPaymentIntentsParams,
  RetrievePaymentIntentParams,
  UpdatePaymentIntentParams,
} from './payment-intents.params';
import { PaymentIntentsRepository } from './payment-intents.repository';

/**
 * An operation that moves money has three phases. After a crash, another attempt continues it.
 *
 * 1. Reserve, in one transaction: check the request and mark the payment as `processing`. From now on no
 *    other request can move its money. A later attempt reads the stored result of this phase.
 * 2. Send the order to the acquirer, outside any transaction. A later attempt sends it again under the same
 *    remote key, and the acquirer executes it once.
 * 3. Settle, in one transaction: store the outcome. The response to the client is committed with it.
 *
 * The statements of phases 1 and 3 are in `payment-intent-creation.ts`, `payment-intent-confirmation.ts`
 * and `payment-intent-capture.ts`.
 */
@Injectable()
export class PaymentIntentsService implements OnModuleInit {
  constructor(
    private readonly intents: PaymentIntentsRepository,
    private readonly creation: PaymentIntentCreation,
    private readonly changes: PaymentIntentChange,
    private readonly confirmation: PaymentIntentConfirmation,
    private readonly captures: PaymentIntentCapture,
    private readonly gateways: Gateways,
    private readonly expander: Expander,
  ) {}

  onModuleInit(): void {
    this.expander.register('payment_intent', async (tenant, ids) =>
      (await this.intents.findMany(tenant, ids)).map(paymentIntentToWire),
    );
  }

  /** Creates a payment intent, and with `confirm` also pays it. */
  async create(tenant: Tenant, params: CreatePaymentIntentParams, phases: Phases) {
    // Without `confirm` no money moves: one transaction is enough.
    if (!params.confirm) {
      return phases.finish(async () => {
        const intent = await this.creation.createUnpaid(tenant, params);
        return this.toWire(tenant, intent, params.expand);
      });
    }
    const payment = await phases.local('reserve', () =>
      this.creation.createReserved(tenant, params),
    );
    return this.pay(tenant, payment, params, phases);
  }

  /** Pays a payment intent that exists. */
  async confirm(tenant: Tenant, id: string, params: ConfirmPaymentIntentParams, phases: Phases) {
    const payment = await phases.local('reserve', () =>
      this.confirmation.reserve(tenant, id, params),
    );
    return this.pay(tenant, payment, params, phases);
  }

  /** Takes the money of an authorised payment, or a part of it. */
  async capture(tenant: Tenant, id: string, params: CapturePaymentIntentParams, phases: Phases) {
    const reserved = await phases.local('reserve', () =>
      this.captures.reserveCapture(tenant, id, params),
    );
    const { reference, amount, metadata } = reserved;
    const order = { tenant, reference, amount, metadata };
    const outcome = await this.gateways.send('capture', order, phases);
    return phases.finish(async () => {
      const captured = await this.captures.settleCapture(tenant, reserved, outcome);
      return this.toWire(tenant, captured, params.expand);
    });
  }

  /** Cancels a payment that took no money. An authorised one is released by the acquirer first. */
  async cancel(tenant: Tenant, id: string, params: CancelPaymentIntentParams, phases: Phases) {
    const reserved = await phases.local('reserve', () => this.captures.reserveCancel(tenant, id));
    const { reference, metadata } = reserved;
    const outcome =
      reference === null
        ? null
        : await this.gateways.send('cancel', { tenant, reference, metadata }, phases);
    return phases.finish(async () => {
      const canceled = await this.captures.settleCancel(tenant, reserved, outcome, params);
      return this.toWire(tenant, canceled, params.expand);
    });
  }

  async update(tenant: Tenant, id: string, params: UpdatePaymentIntentParams) {
    const intent = await this.changes.change(tenant, id, params);
    return this.toWire(tenant, intent, params.expand);
  }

  async retrieve(tenant: Tenant, id: string, params: RetrievePaymentIntentParams) {
    return this.toWire(tenant, await this.intents.getOrThrow(tenant, id), params.expand);
  }

  async list(tenant: Tenant, params: ListPaymentIntentsParams) {
    const where = params.customer === undefined ? {} : { customer: params.customer };
    const page = await this.intents.page(tenant, params.toPage<PaymentIntentEntity>(where));
    const list = listOf(`${API_PATH}/payment_intents`, page, paymentIntentToWire);
    return this.expander.expand(tenant, list, params.expand);
  }

  /** Charges a reserved payment and settles it by the outcome: phases 2 and 3 of a confirmation. */
  private async pay(
    tenant: Tenant,
    payment: ReservedPayment,
    { expand }: { readonly expand?: readonly string[] },
    phases: Phases,
  ) {
    const outcome = await this.gateways.send('charge', { tenant, ...payment.order }, phases);
    return phases.finish(async () => {
      const settled = await this.confirmation.settle(tenant, payment, outcome);
      return this.toWire(tenant, settled, expand);
    });
  }

  /**
   * The payment intent in a response. A decline comes as an Error and is returned as it is: `phases.finish`
   * commits its writes and sends the error to the client.
   */
  private async toWire<T extends PaymentIntentEntity | Error>(
    tenant: Tenant,
    settled: T,
    expand: readonly string[] | undefined,
  ): Promise<PaymentIntentObject | Extract<T, Error>> {
    if (settled instanceof Error) return settled as Extract<T, Error>;
    return this.expander.expand(tenant, paymentIntentToWire(settled), expand);
  }
}
