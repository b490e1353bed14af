import { Injectable } from '@nestjs/common';
import type { Tenant } from '../database';
import { InvalidRequestError } from '../wire';
import type { Gateway } from './gateway';
import { SandboxGateway } from './adapters/sandbox.gateway';

/** Which acquirer moves a tenant's money. */
@Injectable()
export class Gateways {
  constructor(private readonly sandbox: SandboxGateway) {}

  /**
   * The acquirer of a tenant's mode.
   * @throws InvalidRequestError for live keys: no acquirer for live money is configured
   */
  of(tenant: Tenant): Gateway {
    if (!tenant.livemode) return this.sandbox;
    throw new InvalidRequestError(
      'Live payments are not possible: this server has no acquirer for live mode. Use an API key ' +
        'that starts with sk_test_, or ask the operator to connect an acquirer.',
      { code: 'testmode_charges_only' },
    );
  }
}
