/** A shop with accounts, migrations and recovery, as a user of the package would write it. */
import { IdempotencyModule, idempotencyMigrations } from '@paidonce/idempotency';
import {
  type CanActivate,
  type ExecutionContext,
  Injectable,
  Module,
  UnauthorizedException,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AsyncLocalStorage } from 'node:async_hooks';
import { Order, OrdersController } from '../first-replay/orders.controller';
import { ParcelsController } from '../first-replay/parcels.controller';

interface ShopRequest {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  account?: string;
}

/** The account of a request that recovery sends; a request on a socket cannot set it. */
const recovered = new AsyncLocalStorage<string>();

@Injectable()
class AccountGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<ShopRequest>();
    const account = recovered.getStore() ?? request.headers['x-account'];
    if (typeof account !== 'string') throw new UnauthorizedException();
    request.account = account;
    return true;
  }
}

@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: process.env['DATABASE_URL'] ?? '',
      entities: [Order],
      synchronize: true,
      migrations: [...idempotencyMigrations],
      migrationsRun: true,
      extra: { max: 8, connectionTimeoutMillis: 60_000 },
    }),
    TypeOrmModule.forFeature([Order]),
    IdempotencyModule.forRootAsync({
      useFactory: () => ({
        scope: (request) => (request as unknown as ShopRequest).account,
        runAs: ({ account }, work) => recovered.run(account, work),
        remoteDeadlineMs: 2_000,
        replayRedisUrl: process.env['REDIS_URL'], // may be undefined
        recoveryIntervalMs: 200,
      }),
    }),
  ],
  controllers: [OrdersController, ParcelsController],
  providers: [{ provide: APP_GUARD, useClass: AccountGuard }],
})
export class ShopModule {}
