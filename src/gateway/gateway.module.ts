import { Module } from '@nestjs/common';
import { Settings } from '../runtime';
import { Gateways } from './gateways';
import { HttpGateway } from './adapters/http.gateway';
import { InProcessGateway } from './adapters/in-process.gateway';
import { SandboxGateway } from './adapters/sandbox.gateway';

/** What moves money: the port, and behind it the sandbox acquirer, in this process or in its own. */
@Module({
  providers: [
    Gateways,
    {
      provide: SandboxGateway,
      inject: [Settings],
      useFactory: (settings: Settings): SandboxGateway =>
        settings.ACQUIRER_URL === ''
          ? new InProcessGateway(settings)
          : new HttpGateway(settings.ACQUIRER_URL, settings.IDEMPOTENCY_REMOTE_DEADLINE_MS),
    },
  ],
  exports: [Gateways, SandboxGateway],
})
export class GatewayModule {}
