/** Connects the port to the sandbox acquirer, in this process or in a process of its own. */
import { Module } from '@nestjs/common';
import { Settings } from '../runtime';
import { HttpGateway } from './adapters/http.gateway';
import { InProcessGateway } from './adapters/in-process.gateway';
import { SandboxGateway } from './adapters/sandbox.gateway';
import { Gateways } from './gateways';

@Module({
  providers: [
    {
      provide: SandboxGateway,
      inject: [Settings],
      useFactory: (settings: Settings): SandboxGateway =>
        settings.ACQUIRER_URL === ''
          ? new InProcessGateway(settings)
          : new HttpGateway(settings.ACQUIRER_URL, settings.IDEMPOTENCY_REMOTE_DEADLINE_MS),
    },
    {
      provide: Gateways,
      inject: [SandboxGateway],
      useFactory: (sandbox: SandboxGateway): Gateways => new Gateways(sandbox),
    },
  ],
  exports: [Gateways, SandboxGateway],
})
export class GatewayModule {}
