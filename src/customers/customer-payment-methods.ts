/** The port through which customers reach payment methods, which stand above them. */
import type { Tenant } from '../database';

export interface AttachOptions {
  /** A token (`tok_visa`, `pm_card_visa`) or the id of a payment method (`pm_…`). */
  readonly idOrToken: string;
  /** The parameter that names it, for errors; undefined where the path does. */
  readonly param?: string;
}

export interface RequireAttachedOptions {
  /** Id of a payment method. */
  readonly id: string;
  /** The parameter that names it, for errors. */
  readonly param: string;
}

/**
 * What customers need of payment methods, and the injection token of whoever provides it. Every method
 * works in the caller's transaction.
 */
export abstract class CustomerPaymentMethods {
  /**
   * Attaches a payment method, or the one that a token becomes, to a customer that is known to exist.
   * @returns its id
   * @throws ResourceMissingError where nothing has that name
   * @throws InvalidRequestError where it belongs to another customer
   */
  abstract attach(tenant: Tenant, customer: string, options: AttachOptions): Promise<string>;

  /**
   * @throws ResourceMissingError where there is no such payment method
   * @throws InvalidRequestError where it is not attached to this customer
   */
  abstract requireAttached(
    tenant: Tenant,
    customer: string,
    options: RequireAttachedOptions,
  ): Promise<void>;

  /** Detaches all payment methods of a customer that is deleted. */
  abstract detachAll(tenant: Tenant, customer: string): Promise<void>;
}
