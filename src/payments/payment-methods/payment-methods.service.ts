import { createHash } from 'node:crypto';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { IsNull } from 'typeorm';
import {
  CustomersService,
  type CustomerSummary,
  type CustomerPaymentMethods,
} from '../../customers';
import type { Tenant } from '../../database';
import { sandboxCard, type SandboxCard } from '../../sandbox-acquirer';
import {
  Expander,
  InvalidRequestError,
  listOf,
  newId,
  ResourceMissingError,
  type WireList,
} from '../../wire';
import type { CardFace, PaymentMethodEntity } from './payment-method.entity';
import { type PaymentMethodObject, paymentMethodToWire } from './payment-method.wire';
import { PaymentMethodsRepository } from './payment-methods.repository';
import type {
  AttachPaymentMethodParams,
  ListCustomerPaymentMethodsParams,
  ListPaymentMethodsParams,
  RetrievePaymentMethodParams,
} from './payment-methods.params';

/** Cards that may be charged. In the sandbox a token becomes a payment method when it is first used. */
@Injectable()
export class PaymentMethodsService implements OnModuleInit, CustomerPaymentMethods {
  constructor(
    private readonly methods: PaymentMethodsRepository,
    private readonly customers: CustomersService,
    private readonly expander: Expander,
  ) {}

  onModuleInit(): void {
    this.customers.usePaymentMethods(this);
    this.expander.register('payment_method', async (tenant, ids) =>
      (await this.methods.findMany(tenant, ids)).map(paymentMethodToWire),
    );
  }

  async retrieve(
    tenant: Tenant,
    id: string,
    query: RetrievePaymentMethodParams,
  ): Promise<PaymentMethodObject> {
    const method = await this.methods.find(tenant, id);
    if (!method) throw new ResourceMissingError('PaymentMethod', id);
    return this.expander.expand(tenant, paymentMethodToWire(method), query.expand);
  }

  async list(tenant: Tenant, query: ListPaymentMethodsParams) {
    const { customer } = query;
    if (customer !== undefined) await this.customers.require(tenant, customer);
    return this.page(tenant, query, customer, '/v1/payment_methods');
  }

  async listOfCustomer(tenant: Tenant, id: string, query: ListCustomerPaymentMethodsParams) {
    await this.customers.retrieve(tenant, id);
    return this.page(tenant, query, id, `/v1/customers/${id}/payment_methods`);
  }

  /** Makes a payment method, or a token, one of a customer's: `POST …/attach`. */
  async attachTo(
    tenant: Tenant,
    id: string,
    request: AttachPaymentMethodParams,
  ): Promise<PaymentMethodObject> {
    const { id: customer } = await this.customers.require(tenant, request.customer);
    const attached = await this.attach(tenant, customer, id);
    const method = await this.require(tenant, attached);
    return this.expander.expand(tenant, paymentMethodToWire(method), request.expand);
  }

  async detach(
    tenant: Tenant,
    id: string,
    request: RetrievePaymentMethodParams,
  ): Promise<PaymentMethodObject> {
    const method = await this.methods.find(tenant, id);
    if (!method) throw new ResourceMissingError('PaymentMethod', id);
    const { customer } = method;
    const detached =
      customer && (await this.methods.update(tenant, id, { customer: null }, { customer }));
    if (!detached) {
      throw new InvalidRequestError(
        'The payment method you provided is not attached to a customer so detachment is impossible.',
        { code: 'payment_method_unexpected_state', param: 'payment_method' },
      );
    }
    await this.customers.forgetPaymentMethod(tenant, customer, id);
    return this.expander.expand(tenant, paymentMethodToWire(detached), request.expand);
  }

  /**
   * Attaches a payment method, or the one that a token becomes, to a customer that is known to exist.
   * @param param the parameter that named the payment method; undefined where the path did
   * @returns its id
   * @throws InvalidRequestError where it belongs to another customer
   */
  async attach(
    tenant: Tenant,
    customer: string,
    idOrToken: string,
    param?: string,
  ): Promise<string> {
    const method = await this.use(tenant, idOrToken, param);
    if (method.customer === customer) return method.id;
    await this.keepFor(tenant, customer, method.id);
    if ((await this.require(tenant, method.id)).customer === customer) return method.id;
    throw new InvalidRequestError(
      `The payment method ${method.id} is already attached to another customer. Detach it there first.`,
      { code: 'payment_method_unexpected_state', param: param ?? 'payment_method' },
    );
  }

  /** Attaches a payment method that belongs to nobody, unless the customer was deleted meanwhile. */
  async keepFor(tenant: Tenant, customer: string, id: string): Promise<void> {
    if (!(await this.customers.keepPresent(tenant, customer))) return;
    await this.methods.update(tenant, id, { customer }, { customer: IsNull() });
  }

  /** @throws InvalidRequestError naming `param` unless it is attached to this customer */
  async requireAttached(tenant: Tenant, customer: string, id: string, param: string) {
    const method = await this.methods.find(tenant, id);
    if (!method) throw new ResourceMissingError('PaymentMethod', id, param);
    if (method.customer === customer) return;
    throw new InvalidRequestError(
      `The payment method ${id} is not attached to the customer ${customer}. Attach it first.`,
      { code: 'payment_method_unexpected_state', param },
    );
  }

  /** Detaches all of a customer's, because the customer is deleted. */
  async detachAll(tenant: Tenant, customer: string): Promise<void> {
    await this.methods.detachAll(tenant, customer);
  }

  /**
   * The payment method a request names: its id, or a token of the sandbox, which becomes a new one.
   * @param param the parameter that names it; undefined where the path does
   * @throws ResourceMissingError where it is neither
   */
  async use(tenant: Tenant, idOrToken: string, param?: string): Promise<PaymentMethodEntity> {
    const token = tenant.livemode ? undefined : cardOfToken(idOrToken);
    if (token) return this.methods.insert(tenant, newMethod(token.name, token.card));
    const method = await this.methods.find(tenant, idOrToken);
    if (method) return method;
    throw new ResourceMissingError('PaymentMethod', idOrToken, param);
  }

  /** A payment method that is known to exist. */
  async require(tenant: Tenant, id: string): Promise<PaymentMethodEntity> {
    const method = await this.methods.find(tenant, id);
    if (!method) throw new Error(`The payment method ${id} is gone, and rows are never removed.`);
    return method;
  }

  /**
   * The payment method that pays for a customer when none is named: the default one, else the one
   * attached last.
   */
  async defaultOf(tenant: Tenant, customer: CustomerSummary): Promise<PaymentMethodEntity | null> {
    if (customer.defaultSource !== null) return this.methods.find(tenant, customer.defaultSource);
    const where = { customer: customer.id };
    const { data } = await this.methods.page(tenant, { limit: 1, where });
    return data[0] ?? null;
  }

  private async page(
    tenant: Tenant,
    query: ListCustomerPaymentMethodsParams,
    customer: string | undefined,
    url: string,
  ): Promise<WireList<PaymentMethodObject>> {
    const where = customer === undefined ? {} : { customer };
    const page = await this.methods.page(tenant, query.toPage<PaymentMethodEntity>(where));
    return this.expander.expand(tenant, listOf(url, page, paymentMethodToWire), query.expand);
  }
}

/**
 * A customer's card pays only for that customer.
 * @param param the parameter that names the card
 * @throws InvalidRequestError where it is attached to another customer than `customer`
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

/** The card that `pm_card_X`, `pm_card_visa_X` or `tok_X` stands for. */
function cardOfToken(token: string): { name: string; card: SandboxCard } | undefined {
  const named = /^(?:pm_card|tok)_(\w{1,64})$/.exec(token)?.[1];
  if (named === undefined) return undefined;
  for (const name of [named, named.replace(/^visa_/, '')]) {
    const card = sandboxCard(name);
    if (card) return { name, card };
  }
  return undefined;
}

function newMethod(token: string, { brand, funding, last4 }: SandboxCard) {
  const face: CardFace = {
    brand,
    country: 'US',
    exp_month: 12,
    exp_year: 2034,
    fingerprint: createHash('sha256').update(`sandbox card ${token}`).digest('hex').slice(0, 16),
    funding,
    last4,
  };
  return { id: newId('pm'), token, card: face, customer: null, metadata: {} };
}
