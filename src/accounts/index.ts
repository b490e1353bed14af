/** Accounts, API keys, and the principal of a request. */
export { AccountsError, AccountsService, type CreatedKey } from './accounts.service';
export { AccountsModule } from './accounts.module';
export { Authentication } from './authentication';
export { Public } from './principal.guard';
export { CurrentTenant, principalOf, runAs, type Principal } from './principal';
