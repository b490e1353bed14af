/** The sandbox's acquirer, as another company would be: its rules, cards, ledgers, faults and server. */
export { type AcquirerLedger, type AcquirerLedgerEntry } from './acquirer-ledger';
export { sandboxCard, sandboxCardNames, type SandboxCard } from './cards';
export { Faults, type FaultSettings } from './faults';
export { FileAcquirerLedger, type AcquirerLedgerLine } from './file-acquirer-ledger';
export { AcquirerLedgerError } from './append-only-file';
export { type OrderResult } from './order-result';
export { PostgresAcquirerLedger } from './postgres-acquirer-ledger.store';
export { type ChangeOrder, type AcquirerOrder, RemoteKeyConflictError } from './rules';
export { acquirerServer } from './server';
