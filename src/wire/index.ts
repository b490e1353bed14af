/** Stripe's wire format: what a request may look like, and what an answer does. */
export * from './api.errors';
export { errorSchema, type ApiErrorDetails, type ApiErrorType } from './error.wire';
export {
  declaredReferences,
  declareReferences,
  Expander,
  ExpandParam,
  type Loader,
  type WireObject,
} from './expand';
export { newId, randomBase62 } from './ids';
export {
  listOf,
  ListQuery,
  listSchema,
  unixSeconds,
  type CreatedRange,
  type WireList,
} from './list.query';
export { mergeMetadata, MetadataParam, type Metadata, type MetadataChange } from './metadata.param';
export {
  CURRENCIES,
  decimalsOf,
  formatAmount,
  IsAmount,
  IsCurrency,
  MAX_AMOUNT,
  MIN_AMOUNT,
} from './money.param';
export { declaredOperations, Operation, type DeclaredOperation } from './operation';
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
} from './params';
export { IsReturnUrl } from './return-url.param';
export * from './schema';
export { API_VERSION } from './api.version';
export { configureWire, WireModule, wireServerOptions, type WireOptions } from './configure';
export { WireErrorFilter } from './error.filter';
export { idempotencyErrorAnswer, type ReusedStatus } from './idempotency.answer';
export { isSafeText } from './harmless';
export { WireValidationPipe } from './validation.pipe';
