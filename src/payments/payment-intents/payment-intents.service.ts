import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { Tenant } from '../../database';
import { type CancelOrder, Gateways, requireKnownOutcome } from '../../gateway';
import type { Phases } from '../../idempotency';
import { Expander, listOf } from '../../wire';
import type { PaymentIntentEntity } from './payment-intent.entity';
import { PaymentIntentCapture } from './payment-intent-capture';
import { PaymentIntentConfirmation, type ReservedPayment } from './payment-intent-confirmation';
import { type PaymentIntentObject, paymentIntentToWire } from './payment-intent.wire';
import { PaymentIntentsRepository } from './payment-intents.repository';
import type {
  CancelPaymentIntentParams,
  CapturePaymentIntentParams,
  ConfirmPaymentIntentParams,
  CreatePaymentIntentParams,
  ListPaymentIntentsParams,
  RetrievePaymentIntentParams,
  UpdatePaymentIntentParams,
} from './payment-intents.params';

/**
 * Payment intents. What moves money is told in phases: reserve the payment (it then reads
 * `processing`, and no other request can move it), ask the acquirer, settle. What each step does to
 * the rows is in `payment-intent-confirmation.ts` and `payment-intent-capture.ts`.
 */
@Injectable()
export class PaymentIntentsService implements OnModuleInit {
  constructor(
    private readonly intents: PaymentIntentsRepository,
    private readonly steps: PaymentIntentConfirmation,
    private readonly holds: PaymentIntentCapture,
    private readonly gateways: Gateways,
    private readonly expander: Expander,
  ) {}

  onModuleInit(): void {
    this.expander.register('payment_intent', async (tenant, ids) =>
      (await this.intents.findMany(tenant, ids)).map(paymentIntentToWire),
    );
  }

  /** Without `confirm` nothing moves yet. */
  async create(tenant: Tenant, request: CreatePaymentIntentParams, phases: Phases) {
    if (!request.confirm) {
      return phases.finish(async () => {
        const { intent } = await this.steps.open(tenant, request);
        return this.answer(tenant, intent, request.expand);
      });
    }
    const payment = await phases.local('reserve', () => this.steps.openAndReserve(tenant, request));
    return this.pay(tenant, payment, request.expand, phases);
  }

  async confirm(tenant: Tenant, id: string, request: ConfirmPaymentIntentParams, phases: Phases) {
    const payment = await phases.local('reserve', () => this.steps.reserve(tenant, id, request));
    return this.pay(tenant, payment, request.expand, phases);
  }

  async capture(tenant: Tenant, id: string, request: CapturePaymentIntentParams, phases: Phases) {
    const held = await phases.local('reserve', () =>
      this.holds.reserveCapture(tenant, id, request),
    );
    const gateway = this.gateways.of(tenant);
    const { reference, amount, metadata } = held;
    const order = { tenant, reference, amount, metadata };
    const outcome = await phases.remote(
      'capture',
      (key, signal) => requireKnownOutcome(gateway.capture(key, order, signal)),
      gateway.memory(tenant),
    );
    return phases.finish(async () => {
      const captured = await this.holds.settleCapture(tenant, held, outcome);
      return this.answer(tenant, captured, request.expand);
    });
  }

  async cancel(tenant: Tenant, id: string, request: CancelPaymentIntentParams, phases: Phases) {
    const held = await phases.local('reserve', () => this.holds.reserveCancel(tenant, id));
    const { reference, metadata } = held;
    const outcome =
      reference === null ? null : await this.release({ tenant, reference, metadata }, phases);
    return phases.finish(async () => {
      const canceled = await this.holds.settleCancel(tenant, held, outcome, request);
      return this.answer(tenant, canceled, request.expand);
    });
  }

  async update(tenant: Tenant, id: string, request: UpdatePaymentIntentParams) {
    return this.answer(tenant, await this.steps.change(tenant, id, request), request.expand);
  }

  async retrieve(tenant: Tenant, id: string, query: RetrievePaymentIntentParams) {
    return this.answer(tenant, await this.intents.require(tenant, id), query.expand);
  }

  async list(tenant: Tenant, query: ListPaymentIntentsParams) {
    const where = query.customer === undefined ? {} : { customer: query.customer };
    const page = await this.intents.page(tenant, query.toPage<PaymentIntentEntity>(where));
    const list = listOf('/v1/payment_intents', page, paymentIntentToWire);
    return this.expander.expand(tenant, list, query.expand);
  }

  /** The acquirer charges what was reserved, and the payment is settled by its answer. */
  private async pay(
    tenant: Tenant,
    payment: ReservedPayment,
    expand: readonly string[] | undefined,
    phases: Phases,
  ) {
    const gateway = this.gateways.of(tenant);
    const outcome = await phases.remote(
      'charge',
      (key, signal) =>
        requireKnownOutcome(gateway.charge(key, { tenant, ...payment.order }, signal)),
      gateway.memory(tenant),
    );
    return phases.finish(async () => {
      const settled = await this.steps.settle(tenant, payment, outcome);
      return this.answer(tenant, settled, expand);
    });
  }

  private release(order: CancelOrder, phases: Phases) {
    const gateway = this.gateways.of(order.tenant);
    return phases.remote(
      'cancel',
      (key, signal) => requireKnownOutcome(gateway.cancel(key, order, signal)),
      gateway.memory(order.tenant),
    );
  }

  /** The payment intent on the wire; an error stays the error it is. */
  private async answer<T extends PaymentIntentEntity | Error>(
    tenant: Tenant,
    settled: T,
    expand: readonly string[] | undefined,
  ): Promise<PaymentIntentObject | Extract<T, Error>> {
    if (settled instanceof Error) return settled as Extract<T, Error>;
    return this.expander.expand(tenant, paymentIntentToWire(settled), expand);
  }
}
