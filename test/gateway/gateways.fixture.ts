/** The sandbox acquirer in each of the ways it can run, for tests that hold for all of them. */
import { join } from 'node:path';
import {
  type ChargeOrder,
  HttpGateway,
  InProcessGateway,
  type SandboxGateway,
} from '../../src/gateway';
import {
  type AcquirerLedger,
  FileAcquirerLedger,
  acquirerServer,
  type FaultSettings,
  type AcquirerLedgerLine,
} from '../../src/sandbox-acquirer';
import {
  faultsOf,
  ledgerLines,
  temporaryDirectory,
} from '../sandbox-acquirer/acquirer-ledger.fixture';
import { freshDatabase } from '../support/database';

export interface Site {
  readonly gateway: SandboxGateway;
  /** The same acquirer as another process of ours sees it. */
  readonly other: SandboxGateway;
  readonly ledger: AcquirerLedger;
  close(): Promise<void>;
}

export interface HttpSite extends Site {
  readonly url: string;
  readonly lines: () => AcquirerLedgerLine[];
}

/** In this process, with its acquirer ledger in PostgreSQL. */
export async function inProcess(): Promise<Site> {
  const database = await freshDatabase();
  const settings = { DATABASE_URL: database.url, SANDBOX_LATENCY_MS: 0 };
  const [gateway, other] = [new InProcessGateway(settings), new InProcessGateway(settings)];
  await gateway.onModuleInit();
  await other.onModuleInit();
  return {
    gateway,
    other,
    ledger: gateway.ledger,
    close: async () => {
      await gateway.onApplicationShutdown();
      await other.onApplicationShutdown();
      await database.drop();
    },
  };
}

/** Behind HTTP, with its acquirer ledger in a file. */
export async function overHttp(faults: Partial<FaultSettings> = {}): Promise<HttpSite> {
  const directory = temporaryDirectory();
  const ledger = await FileAcquirerLedger.open(join(directory.path, 'ledger'));
  const server = acquirerServer(ledger, faultsOf(faults));
  const url = await server.listen({ port: 0, host: '127.0.0.1' });
  const [gateway, other] = [gatewayTo(url), gatewayTo(url)];
  return {
    url,
    gateway,
    other,
    ledger,
    lines: () => ledgerLines(ledger.path),
    close: async () => {
      gateway.onApplicationShutdown();
      other.onApplicationShutdown();
      await server.close();
      await ledger.close();
      directory.remove();
    },
  };
}

/** A gateway whose log is silent about the trouble that the test makes. */
export function gatewayTo(url: string, deadlineMs = 60_000): HttpGateway {
  const gateway = new HttpGateway(url, deadlineMs);
  jest.spyOn(gateway['logger'], 'warn').mockImplementation(() => undefined);
  return gateway;
}

/** A caller that never gives up. */
export const patient = (): AbortSignal => new AbortController().signal;

let accounts = 0;

/** An order of a merchant that nobody else uses. */
export function charge(change: Partial<ChargeOrder> = {}): ChargeOrder {
  const tenant = { account: `acct_${++accounts}`, livemode: false };
  return { tenant, amount: 1000, currency: 'usd', card: 'visa', capture: true, ...change };
}

/** The reference of an approval. */
export async function approved(call: Promise<unknown>): Promise<string> {
  const outcome = (await call) as { outcome: string; reference: string };
  expect(outcome.outcome).toBe('approved');
  return outcome.reference;
}
