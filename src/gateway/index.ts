/** What moves money: the port every acquirer is reached through, and the adapters behind it. */
export {
  type Approved,
  type CancelOrder,
  type CaptureOrder,
  type CardDescription,
  type ChargeOrder,
  type Declined,
  Gateway,
  type GatewayOutcome,
  type KnownOutcome,
  OutcomeUnknownError,
  type RefundOrder,
  requireKnownOutcome,
} from './gateway';
export { GatewayModule } from './gateway.module';
export { Gateways } from './gateways';
export { HttpGateway } from './adapters/http.gateway';
export { InProcessGateway } from './adapters/in-process.gateway';
export { SandboxGateway } from './adapters/sandbox.gateway';
