/** The operations on charges that no payment intent made: Stripe's older way to pay, phase by phase. */
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { CustomersService } from '../../customers';
import type { Tenant } from '../../database';
import { type ChargeOrder, Gateways, type KnownOutcome } from '../../gateway';
import type { Phases } from '../../idempotency';
import {
  API_PATH,
  acquirerCode,
  CardError,
  Expander,
  InvalidRequestError,
  listOf,
  newId,
} from '../../wire';
import type { PaymentMethodEntity } from '../payment-methods/payment-method.entity';
import { PaymentMethodsService, requireUsableBy } from '../payment-methods/payment-methods.service';
import type { ChargeEntity } from './charge.entity';
import { captureRefusal, chargeOutcome } from './charge.states';
import { type ChargeObject, chargeToWire } from './charge.wire';
import type {
  CaptureChargeParams,
  CreateChargeParams,
  ListChargesParams,
  RetrieveChargeParams,
  UpdateChargeParams,
} from './charges.params';
import { ChargesRepository } from './charges.repository';
import { changedDescription, newDescription } from './descriptive-fields';

/** The sandbox charges this card when a request names none. */
const DEFAULT_SOURCE = 'tok_visa';

/** A reserved charge: what its later phases need, stored as JSON. */
interface ReservedCharge {
  readonly charge: string;
  readonly order: Omit<ChargeOrder, 'tenant'>;
}

/** A reserved capture of a charge: what its later phases need, stored as JSON. */
interface ReservedChargeCapture {
  readonly charge: string;
  /** The acquirer's name for the payment. */
  readonly reference: string;
  readonly amount: number;
  readonly metadata: ChargeEntity['metadata'];
}

/**
 * An operation that moves money has three phases. The first reserves the charge: it is stored as
 * `pending`, and no other request can move its money. The second sends the order to the acquirer. The
 * third settles the charge by the outcome. After a crash, another attempt sends the order again under the
 * same remote key.
 */
@Injectable()
export class ChargesService implements OnModuleInit {
  constructor(
    private readonly charges: ChargesRepository,
    private readonly methods: PaymentMethodsService,
    private readonly customers: CustomersService,
    private readonly gateways: Gateways,
    private readonly expander: Expander,
  ) {}

  onModuleInit(): void {
    this.expander.register('charge', async (tenant, ids) =>
      (await this.charges.findMany(tenant, ids)).map(chargeToWire),
    );
  }

  async create(tenant: Tenant, params: CreateChargeParams, phases: Phases) {
    this.gateways.requireFor(tenant);
    const { charge, order } = await phases.local('reserve', () => this.reserve(tenant, params));
    const outcome = await this.gateways.send('charge', { tenant, ...order }, phases);
    return phases.finish(async () => {
      const settled = await this.charges.settle(tenant, charge, chargeOutcome(order, outcome));
      if (outcome.outcome === 'approved') return this.toWire(tenant, settled, params.expand);
      const { code, declineCode, message } = outcome;
      const decline = declineCode === null ? {} : { decline_code: declineCode };
      return new CardError(message, { code: acquirerCode(code), ...decline, charge });
    });
  }

  async capture(tenant: Tenant, id: string, params: CaptureChargeParams, phases: Phases) {
    const reserved = await phases.local('reserve', () =>
      this.reserveCapture(tenant, id, params.amount),
    );
    const { reference, amount, metadata } = reserved;
    const order = { tenant, reference, amount, metadata };
    const outcome = await this.gateways.send('capture', order, phases);
    return phases.finish(async () => {
      const settled = await this.settleCapture(tenant, reserved, outcome, params);
      if (outcome.outcome === 'approved') return this.toWire(tenant, settled, params.expand);
      return new CardError(outcome.message, { code: acquirerCode(outcome.code), charge: id });
    });
  }

  async update(tenant: Tenant, id: string, params: UpdateChargeParams): Promise<ChargeObject> {
    const charge = await this.charges.lockOrThrow(tenant, id);
    if (params.customer !== undefined)
      await this.requireAssignable(tenant, charge, params.customer);
    const updated = await this.charges.updateExpected(tenant, id, {
      customer: params.customer,
      ...changedDescription(params, charge),
    });
    return this.toWire(tenant, updated, params.expand);
  }

  async retrieve(tenant: Tenant, id: string, params: RetrieveChargeParams): Promise<ChargeObject> {
    return this.toWire(tenant, await this.charges.getOrThrow(tenant, id), params.expand);
  }

  async list(tenant: Tenant, params: ListChargesParams) {
    const where = {
      ...(params.customer === undefined ? {} : { customer: params.customer }),
      ...(params.payment_intent === undefined ? {} : { paymentIntent: params.payment_intent }),
    };
    const page = await this.charges.page(tenant, params.toPage<ChargeEntity>(where));
    return this.expander.expand(
      tenant,
      listOf(`${API_PATH}/charges`, page, chargeToWire),
      params.expand,
    );
  }

  /** Stores a new charge as `pending`. */
  private async reserve(tenant: Tenant, params: CreateChargeParams): Promise<ReservedCharge> {
    const method = await this.sourceOf(tenant, params);
    const charge = await this.charges.insert(tenant, {
      id: newId('ch'),
      amount: params.amount,
      amountCaptured: 0,
      amountRefunded: 0,
      currency: params.currency,
      status: 'pending',
      captured: false,
      released: false,
      reference: null,
      customer: params.customer ?? null,
      paymentIntent: null,
      paymentMethod: method.id,
      card: method.card,
      failureCode: null,
      failureMessage: null,
      declineCode: null,
      ...newDescription(params),
    });
    const { amount, currency, metadata } = charge;
    const capture = params.capture ?? true;
    const order = { amount, currency, card: method.token, capture, metadata };
    return { charge: charge.id, order };
  }

  /** Returns the card to charge: the one a request names, else the customer's, else the sandbox's. */
  private async sourceOf(tenant: Tenant, params: CreateChargeParams): Promise<PaymentMethodEntity> {
    const { customer: id, source } = params;
    const customer = id === undefined ? null : await this.customers.require(tenant, id);
    if (source !== undefined || !customer) {
      const method = await this.methods.use(tenant, source ?? DEFAULT_SOURCE, 'source');
      requireUsableBy(customer?.id ?? null, method, 'source');
      return method;
    }
    const method = await this.methods.defaultOf(tenant, customer);
    if (method) return method;
    throw new CardError(
      `The customer ${customer.id} has no card. Attach one first, or send source.`,
      { code: 'missing', param: 'customer' },
    );
  }

  private async reserveCapture(
    tenant: Tenant,
    id: string,
    amount?: number,
  ): Promise<ReservedChargeCapture> {
    const charge = await this.charges.reserveCapture(tenant, id, amount);
    if (!charge || charge.reference === null) {
      throw captureRefusal(await this.charges.getOrThrow(tenant, id), amount);
    }
    const { reference, metadata } = charge;
    return { charge: id, reference, amount: amount ?? charge.amount, metadata };
  }

  private settleCapture(
    tenant: Tenant,
    reserved: ReservedChargeCapture,
    outcome: KnownOutcome,
    params: CaptureChargeParams,
  ): Promise<ChargeEntity> {
    // A declined capture leaves the charge authorised.
    if (outcome.outcome === 'declined')
      return this.charges.settle(tenant, reserved.charge, { status: 'succeeded' });
    return this.charges.settle(tenant, reserved.charge, {
      status: 'succeeded',
      captured: true,
      amountCaptured: reserved.amount,
      ...changedDescription(params),
    });
  }

  /** A charge that has a customer keeps it. */
  private async requireAssignable(tenant: Tenant, charge: ChargeEntity, customer: string) {
    const { id } = await this.customers.require(tenant, customer);
    if (charge.customer === null || charge.customer === id) return;
    throw new InvalidRequestError(
      `The charge ${charge.id} belongs to the customer ${charge.customer}, which cannot be changed.`,
      { code: 'charge_invalid_parameter', param: 'customer' },
    );
  }

  private toWire(
    tenant: Tenant,
    charge: ChargeEntity,
    expand: readonly string[] | undefined,
  ): Promise<ChargeObject> {
    return this.expander.expand(tenant, chargeToWire(charge), expand);
  }
}
