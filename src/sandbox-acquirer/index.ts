/** The sandbox's acquirer, as another company would be: its rules, cards, ledgers, faults and server. */
export { type AcquirerLedger, type LedgerEntry } from './acquirer-ledger';
export { sandboxCard, sandboxCardNames, type SandboxCard } from './cards';
export { Faults, type FaultSettings } from './faults';
export { FileAcquirerLedger, type LedgerLine } from './file-ledger';
export { LedgerError } from './ledger-file';
export { type OrderResult } from './order-result';
export { PostgresAcquirerLedger } from './postgres-ledger.store';
export { type Change, type Order, RemoteKeyConflictError } from './rules';
export { acquirerServer } from './server';
