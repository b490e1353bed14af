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
export { type LedgerEntry, RemoteKeyConflictError } from './acquirer.store';
export { SandboxAcquirer } from './sandbox.acquirer';
export { sandboxCard, sandboxCardNames, type CardDecline, type SandboxCard } from './sandbox-cards';
