/** The providers of the wire format that other modules use. */
import { Global, Module } from '@nestjs/common';
import { Expander } from './response/expander';

@Global()
@Module({ providers: [Expander], exports: [Expander] })
export class WireModule {}
