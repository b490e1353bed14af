import { Injectable, type OnModuleInit } from '@nestjs/common';
import { CustomersService, orderShippingOf } from '../../customers';
import type { Tenant } from '../../database';
import { type ChargeOrder, Gateways, requireKnownOutcome, type KnownOutcome } from '../../gateway';
import type { Phases } from '../../idempotency';
import {
  CardError,
  Expander,
  InvalidRequestError,
  listOf,
  mergeMetadata,
  newId,
  ResourceMissingError,
} from '../../wire';
import type { ChargeEntity } from './charge.entity';
import { captureRefusal, chargeOutcome } from './charge.states';
import { type ChargeObject, chargeToWire } from './charge.wire';
import { ChargesRepository } from './charges.repository';
import type {
  CaptureChargeParams,
  CreateChargeParams,
  ListChargesParams,
  RetrieveChargeParams,
  UpdateChargeParams,
} from './charges.params';
import type { PaymentMethodEntity } from '../payment-methods/payment-method.entity';
import { PaymentMethodsService, requireUsableBy } from '../payment-methods/payment-methods.service';

/** What the sandbox charges when a request names nothing. */
const DEFAULT_SOURCE = 'tok_visa';

/** A charge that was reserved: what the phases after it need, as JSON. */
interface ReservedCharge {
  readonly charge: string;
  readonly order: Omit<ChargeOrder, 'tenant'>;
}

/** A charge whose capture was reserved. */
interface ReservedChargeCapture {
  readonly charge: string;
  readonly reference: string;
  readonly amount: number;
  readonly metadata: ChargeEntity['metadata'];
}

/**
 * Charges made without a payment intent. They too are told in phases: the charge is stored, and reads
 * `pending`, before the acquirer is asked; its answer settles it.
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

  async create(tenant: Tenant, request: CreateChargeParams, phases: Phases) {
    const gateway = this.gateways.of(tenant);
    const { charge, order } = await phases.local('reserve', () => this.reserve(tenant, request));
    const outcome = await phases.remote(
      'charge',
      (key, signal) => requireKnownOutcome(gateway.charge(key, { tenant, ...order }, signal)),
      gateway.memory(tenant),
    );
    return phases.finish(async () => {
      const settled = await this.settle(tenant, charge, chargeOutcome(order, outcome));
      if (outcome.outcome === 'approved') return this.answer(tenant, settled, request.expand);
      const { code, declineCode, message } = outcome;
      const decline = declineCode === null ? {} : { decline_code: declineCode };
      return new CardError(message, { code, ...decline, charge });
    });
  }

  async capture(tenant: Tenant, id: string, request: CaptureChargeParams, phases: Phases) {
    const held = await phases.local('reserve', () =>
      this.reserveCapture(tenant, id, request.amount),
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
      const settled = await this.settleCapture(tenant, held, outcome, request);
      if (outcome.outcome === 'approved') return this.answer(tenant, settled, request.expand);
      return new CardError(outcome.message, { code: outcome.code, charge: id });
    });
  }

  async update(tenant: Tenant, id: string, request: UpdateChargeParams): Promise<ChargeObject> {
    const charge = await this.charges.lock(tenant, id);
    if (!charge) throw new ResourceMissingError('charge', id);
    if (request.customer !== undefined) await this.requireAssignable(tenant, charge, request);
    const updated = await this.charges.update(tenant, id, {
      customer: request.customer,
      description: request.description,
      metadata: mergeMetadata(charge.metadata, request.metadata),
      receiptEmail: request.receipt_email,
      shipping: orderShippingOf(request.shipping),
    });
    return this.answer(tenant, updated ?? charge, request.expand);
  }

  async retrieve(tenant: Tenant, id: string, query: RetrieveChargeParams): Promise<ChargeObject> {
    const charge = await this.charges.find(tenant, id);
    if (!charge) throw new ResourceMissingError('charge', id);
    return this.answer(tenant, charge, query.expand);
  }

  async list(tenant: Tenant, query: ListChargesParams) {
    const where = {
      ...(query.customer === undefined ? {} : { customer: query.customer }),
      ...(query.payment_intent === undefined ? {} : { paymentIntent: query.payment_intent }),
    };
    const page = await this.charges.page(tenant, query.toPage<ChargeEntity>(where));
    return this.expander.expand(tenant, listOf('/v1/charges', page, chargeToWire), query.expand);
  }

  private async reserve(tenant: Tenant, request: CreateChargeParams): Promise<ReservedCharge> {
    const method = await this.sourceOf(tenant, request);
    const charge = await this.charges.insert(tenant, {
      id: newId('ch'),
      amount: request.amount,
      amountCaptured: 0,
      amountRefunded: 0,
      currency: request.currency,
      status: 'pending',
      captured: false,
      released: false,
      reference: null,
      customer: request.customer ?? null,
      paymentIntent: null,
      paymentMethod: method.id,
      card: method.card,
      failureCode: null,
      failureMessage: null,
      declineCode: null,
      description: request.description ?? null,
      metadata: mergeMetadata({}, request.metadata),
      receiptEmail: request.receipt_email ?? null,
      shipping: orderShippingOf(request.shipping) ?? null,
      statementDescriptor: request.statement_descriptor ?? null,
      statementDescriptorSuffix: request.statement_descriptor_suffix ?? null,
    });
    const { amount, currency, metadata } = charge;
    const capture = request.capture ?? true;
    const order = { amount, currency, card: method.token, capture, metadata };
    return { charge: charge.id, order };
  }

  /** What a charge is taken from: what it names, else the customer's default, else the sandbox's. */
  private async sourceOf(
    tenant: Tenant,
    request: CreateChargeParams,
  ): Promise<PaymentMethodEntity> {
    const { customer: id, source } = request;
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

  /** Takes an authorised charge for its capture: of two requests, one finds it taken. */
  private async reserveCapture(
    tenant: Tenant,
    id: string,
    amount?: number,
  ): Promise<ReservedChargeCapture> {
    const charge = await this.charges.takeForCapture(tenant, id, amount);
    if (!charge || charge.reference === null) {
      const found = await this.charges.find(tenant, id);
      if (!found) throw new ResourceMissingError('charge', id);
      throw captureRefusal(found, amount);
    }
    const { reference, metadata } = charge;
    return { charge: id, reference, amount: amount ?? charge.amount, metadata };
  }

  private settleCapture(
    tenant: Tenant,
    held: ReservedChargeCapture,
    outcome: KnownOutcome,
    request: CaptureChargeParams,
  ): Promise<ChargeEntity> {
    // What is still authorised stays so when the acquirer refuses the capture.
    if (outcome.outcome === 'declined')
      return this.settle(tenant, held.charge, { status: 'succeeded' });
    return this.settle(tenant, held.charge, {
      status: 'succeeded',
      captured: true,
      amountCaptured: held.amount,
      receiptEmail: request.receipt_email,
      statementDescriptor: request.statement_descriptor,
      statementDescriptorSuffix: request.statement_descriptor_suffix,
    });
  }

  /** Ends `pending`. Only the request that reserved the charge gets here, and it did so once. */
  private async settle(
    tenant: Tenant,
    id: string,
    patch: Partial<ChargeEntity>,
  ): Promise<ChargeEntity> {
    const charge = await this.charges.update(tenant, id, patch, { status: 'pending' });
    if (!charge) throw new Error(`The charge ${id} is not as it was left by the phase before.`);
    return charge;
  }

  private async requireAssignable(
    tenant: Tenant,
    charge: ChargeEntity,
    request: UpdateChargeParams,
  ) {
    const { id } = await this.customers.require(tenant, request.customer ?? '');
    if (charge.customer === null || charge.customer === id) return;
    throw new InvalidRequestError(
      `The charge ${charge.id} belongs to the customer ${charge.customer}, which cannot be changed.`,
      { code: 'charge_invalid_parameter', param: 'customer' },
    );
  }

  private answer(
    tenant: Tenant,
    charge: ChargeEntity,
    expand: readonly string[] | undefined,
  ): Promise<ChargeObject> {
    return this.expander.expand(tenant, chargeToWire(charge), expand);
  }
}
