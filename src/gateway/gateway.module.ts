import { Module } from '@nestjs/common';
import { Gateways } from './gateways';
import { SandboxAcquirer } from './sandbox.acquirer';

/** What moves money: the port, and the sandbox acquirer behind it. */
@Module({
  providers: [Gateways, SandboxAcquirer],
  exports: [Gateways, SandboxAcquirer],
})
export class GatewayModule {}
