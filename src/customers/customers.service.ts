/** The operations on customers, and what other rooms may know of a customer. */
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { QueryDeepPartialEntity } from 'typeorm';
import type { Tenant } from '../database';
import {
  API_PATH,
  Expander,
  listOf,
  LockTimeoutError,
  mergeMetadata,
  type Metadata,
  newId,
  randomBase62,
  type WireList,
} from '../wire';
import { CustomerPaymentMethods } from './customer-payment-methods';
import { customerFields } from './customer-fields';
import type { CustomerEntity } from './customer.entity';
import { type CustomerObject, customerToWire, type DeletedCustomerObject } from './customer.wire';
import {
  addressOf,
  type CreateCustomerParams,
  type CustomerParams,
  type ListCustomersParams,
  shippingOf,
  type UpdateCustomerParams,
} from './customers.params';
import { CustomersRepository } from './customers.repository';

/** What other rooms may know of a customer that was not deleted. */
export interface CustomerSummary {
  readonly id: string;
  readonly email: string | null;
  /** Id of the payment method that pays when none is named. */
  readonly defaultSource: string | null;
}

/** Tries of a change while other requests change the same customer. */
const MAX_CHANGE_TRIES = 10;

type AnyCustomerObject = CustomerObject | DeletedCustomerObject;
type CustomerPatch = QueryDeepPartialEntity<CustomerEntity>;

@Injectable()
export class CustomersService implements OnModuleInit {
  private paymentMethods!: CustomerPaymentMethods;

  constructor(
    private readonly customers: CustomersRepository,
    private readonly expander: Expander,
    private readonly modules: ModuleRef,
  ) {}

  onModuleInit(): void {
    // Looked up here, not injected: its provider has this service in its constructor.
    this.paymentMethods = this.modules.get(CustomerPaymentMethods, { strict: false });
    this.expander.register('customer', async (tenant, ids) =>
      (await this.customers.findMany(tenant, ids)).map(customerToWire),
    );
  }

  async create(tenant: Tenant, params: CreateCustomerParams): Promise<AnyCustomerObject> {
    const created = await this.customers.insert(tenant, {
      ...customerFields.newRow(fieldsOf(params, mergeMetadata({}, params.metadata))),
      id: newId('cus'),
      invoicePrefix: params.invoice_prefix ?? randomBase62(8).toUpperCase(),
    });
    const defaults = await this.attachNamed(tenant, created.id, params);
    const customer = (await this.customers.update(tenant, created.id, defaults)) ?? created;
    return this.toWire(tenant, customer, params.expand);
  }

  /** A deleted customer is found too, as the little that is left of it. */
  async retrieve(
    tenant: Tenant,
    id: string,
    expand?: readonly string[],
  ): Promise<AnyCustomerObject> {
    return this.toWire(tenant, await this.customers.getOrThrow(tenant, id), expand);
  }

  async update(
    tenant: Tenant,
    id: string,
    params: UpdateCustomerParams,
  ): Promise<AnyCustomerObject> {
    await this.requirePresent(tenant, id);
    const patch = {
      ...customerFields.changes(fieldsOf(params)),
      invoicePrefix: params.invoice_prefix,
      ...(await this.attachNamed(tenant, id, params)),
    };
    for (let tries = 0; tries < MAX_CHANGE_TRIES; tries += 1) {
      const { metadata } = await this.requirePresent(tenant, id);
      const changed = { ...patch, metadata: mergeMetadata(metadata, params.metadata) };
      const customer = await this.customers.change(tenant, id, changed, metadata);
      if (customer) return this.toWire(tenant, customer, params.expand);
    }
    throw new LockTimeoutError();
  }

  async delete(tenant: Tenant, id: string): Promise<AnyCustomerObject> {
    const customer = await this.customers.markDeleted(tenant, id);
    if (!customer) throw this.customers.missing(id);
    await this.paymentMethods.detachAll(tenant, id);
    return customerToWire(customer);
  }

  async list(tenant: Tenant, params: ListCustomersParams): Promise<WireList<AnyCustomerObject>> {
    const page = await this.customers.pageOfPresent(tenant, params, params.email);
    const list = listOf(`${API_PATH}/customers`, page, customerToWire);
    return this.expander.expand(tenant, list, params.expand);
  }

  /**
   * Returns a customer that another object refers to.
   *
   * @param param the parameter that refers to it
   * @throws ResourceMissingError (400, naming `param`) where it does not exist or was deleted
   */
  async require(tenant: Tenant, id: string, param = 'customer'): Promise<CustomerSummary> {
    const { email, defaultSource } = await this.requirePresent(tenant, id, param);
    return { id, email, defaultSource };
  }

  /**
   * Returns the id of the customer that a request names; null where it names none.
   *
   * @throws ResourceMissingError where it does not exist or was deleted
   */
  async requireNamed(
    tenant: Tenant,
    { customer }: { readonly customer?: string },
  ): Promise<string | null> {
    return customer === undefined ? null : (await this.require(tenant, customer)).id;
  }

  /**
   * Locks a customer and tells whether it exists and was not deleted. A deletion waits for the end of the
   * caller's transaction, and then detaches also the payment methods attached in it.
   */
  async lockPresent(tenant: Tenant, id: string): Promise<boolean> {
    const customer = await this.customers.lock(tenant, id);
    return customer !== null && customer.deleted === null;
  }

  /** Removes a detached payment method from the defaults of its customer. */
  async forgetPaymentMethod(tenant: Tenant, id: string, paymentMethod: string): Promise<void> {
    const source = { defaultSource: paymentMethod };
    await this.customers.update(tenant, id, { defaultSource: null }, source);
    const method = { defaultPaymentMethod: paymentMethod };
    await this.customers.update(tenant, id, { defaultPaymentMethod: null }, method);
  }

  private async requirePresent(
    tenant: Tenant,
    id: string,
    param?: string,
  ): Promise<CustomerEntity> {
    const customer = await this.customers.find(tenant, id);
    if (!customer || customer.deleted) throw this.customers.missing(id, param);
    return customer;
  }

  /** Attaches the payment methods that a request names. @returns the defaults that follow from it */
  private async attachNamed(
    tenant: Tenant,
    customer: string,
    params: CreateCustomerParams & UpdateCustomerParams,
  ): Promise<CustomerPatch> {
    const { source, payment_method, default_source, invoice_settings } = params;
    const patch: CustomerPatch = {};
    let attached: string | undefined;
    if (payment_method !== undefined) {
      const options = { idOrToken: payment_method, param: 'payment_method' };
      attached = await this.paymentMethods.attach(tenant, customer, options);
    }
    if (source !== undefined) {
      const options = { idOrToken: source, param: 'source' };
      patch.defaultSource = await this.paymentMethods.attach(tenant, customer, options);
    }
    if (default_source !== undefined) {
      await this.requireAttached(tenant, customer, default_source, 'default_source');
      patch.defaultSource = default_source;
    }
    if (invoice_settings?.default_payment_method !== undefined) {
      const named = invoice_settings.default_payment_method;
      // The same token in both places, as in the SDK's examples, means one payment method.
      const id = named !== null && named === payment_method ? attached : named;
      const param = 'invoice_settings[default_payment_method]';
      await this.requireAttached(tenant, customer, id, param);
      patch.defaultPaymentMethod = id;
    }
    return patch;
  }

  /** Null unsets a default, so it needs no payment method. */
  private async requireAttached(
    tenant: Tenant,
    customer: string,
    id: string | null | undefined,
    param: string,
  ): Promise<void> {
    if (typeof id !== 'string') return;
    await this.paymentMethods.requireAttached(tenant, customer, { id, param });
  }

  private toWire(
    tenant: Tenant,
    customer: CustomerEntity,
    expand: readonly string[] | undefined,
  ): Promise<AnyCustomerObject> {
    return this.expander.expand(tenant, customerToWire(customer), expand);
  }
}

/** The fields that a request sets, as they are stored. @param metadata undefined leaves it alone */
function fieldsOf(params: CustomerParams, metadata?: Metadata) {
  const { address, shipping, ...others } = params;
  return {
    ...others,
    address: address && addressOf(address),
    metadata,
    shipping: shipping && shippingOf(shipping),
  };
}
