/** What moves money: the port every acquirer is reached through, and the adapters behind it. */
export {
  type Approved,
  type CancelOrder,
  type CaptureOrder,
  type ChargeOrder,
  type Declined,
  Gateway,
  type GatewayOutcome,
  requireKnownOutcome,
  type KnownOutcome,
  OutcomeUnknownError,
  type RefundOrder,
} from './gateway';
export { GatewayModule } from './gateway.module';
export { Gateways } from './gateways';
export { HttpGateway } from './adapters/http.gateway';
export { InProcessGateway } from './adapters/in-process.gateway';
export { SandboxGateway } from './adapters/sandbox.gateway';
