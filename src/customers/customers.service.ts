import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { QueryDeepPartialEntity } from 'typeorm';
import type { Tenant } from '../database';
import {
  Expander,
  InvalidRequestError,
  LockTimeoutError,
  listOf,
  mergeMetadata,
  newId,
  randomBase62,
  ResourceMissingError,
  type WireList,
} from '../wire';
import type { CustomerEntity } from './customer.entity';
import {
  addressOf,
  type CreateCustomerParams,
  type CustomerParams,
  type ListCustomersParams,
  shippingOf,
  type UpdateCustomerParams,
} from './customers.params';
import { customerToWire, type CustomerObject, type DeletedCustomerObject } from './customer.wire';
import { CustomersRepository } from './customers.repository';

/** What other modules may know of a customer that is present. */
export interface CustomerSummary {
  readonly id: string;
  readonly email: string | null;
  /** Id of the payment method that pays when none is named. */
  readonly defaultSource: string | null;
}

/**
 * What customers need of payment methods. The module that owns those hands itself over with
 * `CustomersService.usePaymentMethods`, so that this one need not know it. Every method works in
 * the caller's transaction.
 */
export interface CustomerPaymentMethods {
  /**
   * Attaches the payment method that a token (`tok_visa`) or id (`pm_card_visa`, `pm_…`) names.
   *
   * @param param the parameter to name in an error
   * @returns its id
   */
  attach(tenant: Tenant, customer: string, token: string, param: string): Promise<string>;
  /** @throws InvalidRequestError naming `param` unless it is attached to this customer */
  requireAttached(tenant: Tenant, customer: string, id: string, param: string): Promise<void>;
  /** Detaches all of a customer's, because the customer is deleted. */
  detachAll(tenant: Tenant, customer: string): Promise<void>;
}

/** How often a change is tried again when others change the same customer at the same moment. */
const MAX_CHANGES = 10;

type Answer = CustomerObject | DeletedCustomerObject;
type Patch = QueryDeepPartialEntity<CustomerEntity>;

@Injectable()
export class CustomersService implements OnModuleInit {
  private paymentMethods?: CustomerPaymentMethods;

  constructor(
    private readonly customers: CustomersRepository,
    private readonly expander: Expander,
  ) {}

  onModuleInit(): void {
    this.expander.register('customer', async (tenant, ids) =>
      (await this.customers.findMany(tenant, ids)).map(customerToWire),
    );
  }

  /** Called once, at start-up, by the module that owns payment methods. */
  usePaymentMethods(desk: CustomerPaymentMethods): void {
    this.paymentMethods = desk;
  }

  async create(tenant: Tenant, params: CreateCustomerParams): Promise<Answer> {
    const patch = patchOf(params);
    const created = await this.customers.insert(tenant, {
      ...patch,
      id: newId('cus'),
      invoicePrefix: params.invoice_prefix ?? randomBase62(8).toUpperCase(),
      metadata: mergeMetadata({}, params.metadata),
    } as Partial<CustomerEntity>);
    const payment = await this.attachNew(tenant, created.id, params);
    const customer = (await this.customers.update(tenant, created.id, payment)) ?? created;
    return this.answer(tenant, customer, params.expand);
  }

  /** A deleted customer is found too, as the little that is left of it. */
  async retrieve(tenant: Tenant, id: string, expand?: readonly string[]): Promise<Answer> {
    const customer = await this.customers.find(tenant, id);
    if (!customer) throw new ResourceMissingError('customer', id);
    return this.answer(tenant, customer, expand);
  }

  async update(tenant: Tenant, id: string, params: UpdateCustomerParams): Promise<Answer> {
    await this.present(tenant, id);
    const patch = { ...patchOf(params), ...(await this.attachNew(tenant, id, params)) };
    for (let attempt = 0; attempt < MAX_CHANGES; attempt += 1) {
      const { metadata } = await this.present(tenant, id);
      const changed = { ...patch, metadata: mergeMetadata(metadata, params.metadata) };
      const customer = await this.customers.change(tenant, id, changed, metadata);
      if (customer) return this.answer(tenant, customer, params.expand);
    }
    throw new LockTimeoutError();
  }

  async delete(tenant: Tenant, id: string): Promise<Answer> {
    const customer = await this.customers.markDeleted(tenant, id);
    if (!customer) throw new ResourceMissingError('customer', id);
    await this.paymentMethods?.detachAll(tenant, id);
    return customerToWire(customer);
  }

  async list(tenant: Tenant, query: ListCustomersParams): Promise<WireList<Answer>> {
    const page = await this.customers.pageOfPresent(tenant, query, query.email);
    return this.expander.expand(
      tenant,
      listOf('/v1/customers', page, customerToWire),
      query.expand,
    );
  }

  /**
   * A customer that another object refers to.
   *
   * @param param the parameter that refers to it
   * @throws ResourceMissingError (400, naming `param`) where it does not exist or was deleted
   */
  async require(tenant: Tenant, id: string, param = 'customer'): Promise<CustomerSummary> {
    const { email, defaultSource } = await this.present(tenant, id, param);
    return { id, email, defaultSource };
  }

  /**
   * Whether a customer is present. One that is stays so before the caller's transaction ends: a
   * deletion waits for it, and then finds what it has attached.
   */
  async keepPresent(tenant: Tenant, id: string): Promise<boolean> {
    const customer = await this.customers.lock(tenant, id);
    return customer !== null && customer.deleted === null;
  }

  /** A payment method was detached: it pays nothing by default any more. */
  async forgetPaymentMethod(tenant: Tenant, id: string, paymentMethod: string): Promise<void> {
    await this.customers.update(
      tenant,
      id,
      { defaultSource: null },
      { defaultSource: paymentMethod },
    );
    await this.customers.update(
      tenant,
      id,
      { defaultPaymentMethod: null },
      { defaultPaymentMethod: paymentMethod },
    );
  }

  private async present(tenant: Tenant, id: string, param?: string): Promise<CustomerEntity> {
    const customer = await this.customers.find(tenant, id);
    if (!customer || customer.deleted) throw new ResourceMissingError('customer', id, param);
    return customer;
  }

  /** Attaches what the request brings, and says what pays by default afterwards. */
  private async attachNew(
    tenant: Tenant,
    id: string,
    params: CreateCustomerParams & UpdateCustomerParams,
  ): Promise<Patch> {
    const { source, payment_method, default_source, invoice_settings } = params;
    const patch: Patch = {};
    let attached: string | undefined;
    if (payment_method !== undefined) {
      attached = await this.desk('payment_method').attach(
        tenant,
        id,
        payment_method,
        'payment_method',
      );
    }
    if (source !== undefined) {
      patch.defaultSource = await this.desk('source').attach(tenant, id, source, 'source');
    }
    if (default_source !== undefined) {
      await this.requireAttached(tenant, id, default_source, 'default_source');
      patch.defaultSource = default_source;
    }
    if (invoice_settings?.default_payment_method !== undefined) {
      const named = invoice_settings.default_payment_method;
      // The same token in both places, as in the SDK's examples, means one payment method.
      const chosen = named !== null && named === payment_method ? attached : named;
      await this.requireAttached(tenant, id, chosen, 'invoice_settings[default_payment_method]');
      patch.defaultPaymentMethod = chosen;
    }
    return patch;
  }

  private async requireAttached(
    tenant: Tenant,
    customer: string,
    id: string | null | undefined,
    param: string,
  ): Promise<void> {
    if (typeof id === 'string') await this.desk(param).requireAttached(tenant, customer, id, param);
  }

  private desk(param: string): CustomerPaymentMethods {
    if (this.paymentMethods) return this.paymentMethods;
    throw new InvalidRequestError('This server takes no payment methods.', { param });
  }

  private answer(
    tenant: Tenant,
    customer: CustomerEntity,
    expand: readonly string[] | undefined,
  ): Promise<Answer> {
    return this.expander.expand(tenant, customerToWire(customer), expand);
  }
}

/** The columns a request sets; undefined for what it leaves alone. */
function patchOf(params: CustomerParams): Patch {
  return {
    address: params.address && addressOf(params.address),
    description: params.description,
    email: params.email,
    invoicePrefix: params.invoice_prefix,
    name: params.name,
    phone: params.phone,
    preferredLocales: params.preferred_locales === null ? [] : params.preferred_locales,
    shipping: params.shipping && shippingOf(params.shipping),
    taxExempt: params.tax_exempt === null ? 'none' : params.tax_exempt,
  };
}
