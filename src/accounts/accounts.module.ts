/** The module of accounts, API keys and authentication. */
import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AccountEntity } from './account.entity';
import { AccountsService } from './accounts.service';
import { AccountsStore } from './accounts.store';
import { ApiKeyEntity } from './api-key.entity';
import { PrincipalGuard } from './principal.guard';
import { Authentication } from './authentication';

@Module({
  imports: [TypeOrmModule.forFeature([AccountEntity, ApiKeyEntity])],
  providers: [
    AccountsStore,
    AccountsService,
    Authentication,
    { provide: APP_GUARD, useClass: PrincipalGuard },
  ],
  exports: [AccountsService, Authentication],
})
export class AccountsModule {}
