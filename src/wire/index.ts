/** Stripe's wire format: parameters of requests, objects and errors of responses. */
export { configureWire, type WireOptions } from './configure';
export * from './errors/api.errors';
export * from './errors/error-table';
export { WireErrorFilter } from './errors/error.filter';
export { acquirerCode, errorSchema, type ApiErrorDetails } from './errors/error.wire';
export { idempotencyErrorResponse, type ReusedStatus } from './errors/idempotency-error.wire';
export { ExpandParam } from './params/expand.param';
export { ListParams, type CreatedRange } from './params/list.params';
export {
  mergeMetadata,
  MetadataParam,
  type Metadata,
  type MetadataChange,
} from './params/metadata.param';
export {
  CURRENCIES,
  decimalsOf,
  formatAmount,
  IsAmount,
  IsCurrency,
  MAX_AMOUNT,
  MIN_AMOUNT,
} from './params/money.param';
export {
  declaredParams,
  IsEmailAddress,
  IsFlag,
  IsInteger,
  IsObjectOf,
  IsOneOf,
  IsText,
  IsTextList,
  Param,
  type Coercion,
  type DeclaredParam,
  type ParamOptions,
} from './params/params';
export { Refusal } from './params/raw-values';
export { IsReturnUrl } from './params/return-url.param';
export { WireValidationPipe } from './params/validation.pipe';
export { isSafeText } from './request/harmless-values';
export { Expander, type Loader, type WireObject } from './response/expander';
export { listOf, listSchema, type WireList } from './response/list';
export { unixSeconds } from './response/unix-seconds';
export { API_PATH } from './schema/api-path';
export { API_VERSION } from './schema/api-version';
export { blankOf, inOrder } from './schema/field-order';
export { newId, randomBase62 } from './schema/ids';
export {
  declaredOperations,
  Operation,
  type DeclaredOperation,
} from './schema/operation.decorator';
export { declaredReferences, declareReferences } from './schema/references';
export * from './schema/schema';
export { storedAs, StoredFields } from './schema/stored-fields';
export { wireServerOptions } from './server-options';
export { WireModule, wireProviders } from './wire.module';
