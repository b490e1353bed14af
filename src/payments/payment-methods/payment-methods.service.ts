/** Cards that may be charged: list, attach to a customer, detach, find the one that a request names. */
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { IsNull } from 'typeorm';
import {
  type AttachOptions,
  type CustomerPaymentMethods,
  CustomersService,
  type CustomerSummary,
  type RequireAttachedOptions,
} from '../../customers';
import type { Tenant } from '../../database';
import { type CardDescription, Gateways } from '../../gateway';
import { API_PATH, Expander, InvalidRequestError, listOf, newId } from '../../wire';
import type { CardFace, PaymentMethodEntity } from './payment-method.entity';
import { type PaymentMethodObject, paymentMethodToWire } from './payment-method.wire';
import { PaymentMethodsRepository } from './payment-methods.repository';
import type {
  AttachPaymentMethodParams,
  ListCustomerPaymentMethodsParams,
  ListPaymentMethodsParams,
  RetrievePaymentMethodParams,
} from './payment-methods.params';

/** In the sandbox a token becomes a payment method when it is first used. */
@Injectable()
export class PaymentMethodsService implements OnModuleInit, CustomerPaymentMethods {
  constructor(
    private readonly methods: PaymentMethodsRepository,
    private readonly customers: CustomersService,
    private readonly gateways: Gateways,
    private readonly expander: Expander,
  ) {}

  onModuleInit(): void {
    this.expander.register('payment_method', async (tenant, ids) =>
      (await this.methods.findMany(tenant, ids)).map(paymentMethodToWire),
    );
  }

  async retrieve(
    tenant: Tenant,
    id: string,
    params: RetrievePaymentMethodParams,
  ): Promise<PaymentMethodObject> {
    const method = await this.methods.getOrThrow(tenant, id);
    return this.expander.expand(tenant, paymentMethodToWire(method), params.expand);
  }

  async list(tenant: Tenant, params: ListPaymentMethodsParams) {
    const { customer } = params;
    if (customer !== undefined) await this.customers.require(tenant, customer);
    const where = customer === undefined ? {} : { customer };
    const page = await this.methods.page(tenant, params.toPage<PaymentMethodEntity>(where));
    const list = listOf(`${API_PATH}/payment_methods`, page, paymentMethodToWire);
    return this.expander.expand(tenant, list, params.expand);
  }

  async listOfCustomer(tenant: Tenant, customer: string, params: ListCustomerPaymentMethodsParams) {
    await this.customers.retrieve(tenant, customer);
    const page = await this.methods.page(tenant, params.toPage<PaymentMethodEntity>({ customer }));
    const list = listOf(
      `${API_PATH}/customers/${customer}/payment_methods`,
      page,
      paymentMethodToWire,
    );
    return this.expander.expand(tenant, list, params.expand);
  }

  /** Attaches a payment method, or a token, to a customer: `POST …/attach`. */
  async attachTo(
    tenant: Tenant,
    id: string,
    params: AttachPaymentMethodParams,
  ): Promise<PaymentMethodObject> {
    const { id: customer } = await this.customers.require(tenant, params.customer);
    const attached = await this.attach(tenant, customer, { idOrToken: id });
    const method = await this.methods.getExpected(tenant, attached);
    return this.expander.expand(tenant, paymentMethodToWire(method), params.expand);
  }

  async detach(
    tenant: Tenant,
    id: string,
    params: RetrievePaymentMethodParams,
  ): Promise<PaymentMethodObject> {
    const { customer } = await this.methods.getOrThrow(tenant, id);
    const detached =
      customer && (await this.methods.update(tenant, id, { customer: null }, { customer }));
    if (!detached) {
      throw new InvalidRequestError(
        'The payment method you provided is not attached to a customer so detachment is impossible.',
        { code: 'payment_method_unexpected_state', param: 'payment_method' },
      );
    }
    await this.customers.forgetPaymentMethod(tenant, customer, id);
    return this.expander.expand(tenant, paymentMethodToWire(detached), params.expand);
  }

  async attach(tenant: Tenant, customer: string, options: AttachOptions): Promise<string> {
    const { idOrToken, param } = options;
    const method = await this.use(tenant, idOrToken, param);
    if (method.customer === customer) return method.id;
    await this.attachIfFree(tenant, customer, method.id);
    const { customer: owner } = await this.methods.getExpected(tenant, method.id);
    if (owner === customer) return method.id;
    throw new InvalidRequestError(
      `The payment method ${method.id} is already attached to another customer. Detach it there first.`,
      { code: 'payment_method_unexpected_state', param: param ?? 'payment_method' },
    );
  }

  /**
   * Attaches a payment method that belongs to no customer. Does nothing where it belongs to one, or where
   * the customer was deleted.
   */
  async attachIfFree(tenant: Tenant, customer: string, id: string): Promise<void> {
    if (!(await this.customers.lockPresent(tenant, customer))) return;
    await this.methods.update(tenant, id, { customer }, { customer: IsNull() });
  }

  async requireAttached(
    tenant: Tenant,
    customer: string,
    { id, param }: RequireAttachedOptions,
  ): Promise<void> {
    const method = await this.methods.getOrThrow(tenant, id, param);
    if (method.customer === customer) return;
    throw new InvalidRequestError(
      `The payment method ${id} is not attached to the customer ${customer}. Attach it first.`,
      { code: 'payment_method_unexpected_state', param },
    );
  }

  async detachAll(tenant: Tenant, customer: string): Promise<void> {
    await this.methods.detachAll(tenant, customer);
  }

  /**
   * Returns the payment method that a request names by its id, or by a token of the acquirer. A token
   * becomes a new payment method.
   *
   * @param param the parameter that names it; undefined where the path does
   * @throws ResourceMissingError where it is neither
   */
  async use(tenant: Tenant, idOrToken: string, param?: string): Promise<PaymentMethodEntity> {
    const card = this.gateways.describeCard(tenant, idOrToken);
    if (card) return this.methods.insert(tenant, newPaymentMethod(card));
    return this.methods.getOrThrow(tenant, idOrToken, param);
  }

  /** Returns the payment method that a request names with `payment_method`; null where it names none. */
  async useNamed(
    tenant: Tenant,
    { payment_method }: { readonly payment_method?: string },
  ): Promise<PaymentMethodEntity | null> {
    return payment_method === undefined ? null : this.use(tenant, payment_method, 'payment_method');
  }

  /**
   * Returns a payment method that a row of this tenant's names.
   * @throws UnexpectedRowError where it is gone: rows are never removed
   */
  getExpected(tenant: Tenant, id: string): Promise<PaymentMethodEntity> {
    return this.methods.getExpected(tenant, id);
  }

  /**
   * Returns the payment method that pays for a customer when a request names none: the default one, else
   * the one attached last.
   */
  async defaultOf(tenant: Tenant, customer: CustomerSummary): Promise<PaymentMethodEntity | null> {
    if (customer.defaultSource !== null) return this.methods.find(tenant, customer.defaultSource);
    const where = { customer: customer.id };
    const { data } = await this.methods.page(tenant, { limit: 1, where });
    return data[0] ?? null;
  }
}

/**
 * The card of a customer pays for that customer only.
 * @param customer the customer of the payment; null where it has none
 * @param param the parameter that names the card
 * @throws InvalidRequestError where the card belongs to another customer
 */
export function requireUsableBy(
  customer: string | null,
  method: PaymentMethodEntity,
  param: string,
): void {
  if (method.customer === null || method.customer === customer) return;
  throw new InvalidRequestError(
    customer === null
      ? `The payment method ${method.id} belongs to a customer. Name that customer in the customer parameter.`
      : `The payment method ${method.id} does not belong to the customer ${customer}. Use one that does.`,
    { code: 'payment_method_unexpected_state', param },
  );
}

/** @throws InvalidRequestError where a request's `payment_method_types` leave out `card` */
export function requireCardType(types: readonly string[] | undefined): void {
  if (types === undefined || types.includes('card')) return;
  throw new InvalidRequestError(
    'This server takes cards alone: payment_method_types must name card.',
    { code: 'payment_intent_invalid_parameter', param: 'payment_method_types' },
  );
}

function newPaymentMethod(description: CardDescription) {
  const {
    card: token,
    brand,
    country,
    expMonth,
    expYear,
    fingerprint,
    funding,
    last4,
  } = description;
  const card: CardFace = {
    brand,
    country,
    exp_month: expMonth,
    exp_year: expYear,
    fingerprint,
    funding,
    last4,
  };
  return { id: newId('pm'), token, card, customer: null, metadata: {} };
}
