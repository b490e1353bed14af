/** Stripe's wire format: what a request may look like, and what an answer does. */
export * from './errors/api.errors';
export { errorSchema, type ApiErrorDetails, type ApiErrorType } from './errors/error.wire';
export {
  declaredReferences,
  declareReferences,
  Expander,
  ExpandParam,
  type Loader,
  type WireObject,
} from './response/expand';
export { newId, randomBase62 } from './schema/ids';
export {
  listOf,
  ListQuery,
  listSchema,
  unixSeconds,
  type CreatedRange,
  type WireList,
} from './response/list';
export {
  mergeMetadata,
  MetadataParam,
  type Metadata,
  type MetadataChange,
} from './request/metadata.param';
export {
  CURRENCIES,
  decimalsOf,
  formatAmount,
  IsAmount,
  IsCurrency,
  MAX_AMOUNT,
  MIN_AMOUNT,
} from './request/money.param';
export { declaredOperations, Operation, type DeclaredOperation } from './schema/operation';
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
  Refused,
  type Coercion,
  type DeclaredParam,
  type ParamOptions,
} from './request/params';
export { IsReturnUrl } from './request/return-url.param';
export * from './schema/schema';
export { API_VERSION } from './schema/api-version';
export { configureWire, WireModule, wireServerOptions, type WireOptions } from './configure';
export { WireErrorFilter } from './errors/error.filter';
export { idempotencyErrorAnswer, type ReusedStatus } from './errors/idempotency-error.wire';
export { isSafeText } from './request/harmless-values';
export { WireValidationPipe } from './request/validation.pipe';
