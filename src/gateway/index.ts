/** What moves money: the port every acquirer is reached through, and the sandbox's own acquirer. */
export {
  type Approved,
  type CancelOrder,
  type CaptureOrder,
  type ChargeOrder,
  type Declined,
  Gateway,
  type GatewayOutcome,
  known,
  type KnownOutcome,
  OutcomeUnknownError,
  type RefundOrder,
} from './gateway';
export { GatewayModule } from './gateway.module';
export { Gateways } from './gateways';
export { HttpGateway } from './http.gateway';
export { RemoteKeyConflictError } from './acquirer.rules';
export { type Books, type LedgerEntry } from './acquirer.books';
export { AcquirerLedger, type LedgerLine } from './acquirer.ledger';
export { Faults, type FaultSettings } from './acquirer.faults';
export { acquirerServer } from './acquirer.server';
export { LedgerError } from './ledger.file';
export { SandboxAcquirer } from './sandbox.acquirer';
export { SandboxGateway } from './sandbox.gateway';
export { sandboxCard, sandboxCardNames, type CardDecline, type SandboxCard } from './sandbox-cards';
