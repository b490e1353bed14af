/** The parameters that every list operation takes (https://docs.stripe.com/api/pagination). */
import type { PageQuery, TenantEntity } from '../../database';
import { InvalidRequestError } from '../errors/api.errors';
import { IsInteger, IsText, Param } from './params';
import { integerOf, isHash, Refusal } from './raw-values';

/** A range of creation times: `from` is included, `before` is not. */
export interface CreatedRange {
  readonly from?: Date;
  readonly before?: Date;
}

/** 9999-12-31 in unix seconds, the last day whose year has four digits. */
const LAST_SECOND = 253_402_300_799;

const SECOND = { type: 'integer', minimum: 0, maximum: LAST_SECOND };
const CREATED_RANGE = {
  anyOf: [
    SECOND,
    {
      type: 'object',
      properties: { gt: SECOND, gte: SECOND, lt: SECOND, lte: SECOND },
      additionalProperties: false,
    },
  ],
};

/**
 * The parameters of every list. The class of a particular list adds its filters and a property with
 * `@ExpandParam`.
 */
export class ListParams {
  @IsInteger({ min: 1, max: 100, description: 'Page length. Default 10.' })
  limit = 10;

  @IsText({
    max: 255,
    description: 'Id of the object before the page: the last of the page before.',
  })
  starting_after?: string;

  @IsText({
    max: 255,
    description: 'Id of the object after the page: the first of the page after.',
  })
  ending_before?: string;

  /** `created=T` or `created[gt|gte|lt|lte]=T`. */
  @Param(createdRangeOf, CREATED_RANGE, { description: 'When it was created, in unix seconds.' })
  created?: CreatedRange;

  /**
   * The query for the repository.
   *
   * @param where the filters of this list
   * @throws InvalidRequestError (400) if both cursors are given
   */
  toPage<E extends TenantEntity>(where?: PageQuery<E>['where']): PageQuery<E> {
    if (this.starting_after !== undefined && this.ending_before !== undefined) {
      throw new InvalidRequestError(
        'You may only specify one of these parameters: starting_after, ending_before.',
        { code: 'parameters_exclusive', param: 'ending_before' },
      );
    }
    return {
      limit: this.limit,
      startingAfter: this.starting_after,
      endingBefore: this.ending_before,
      created: this.created,
      where,
    };
  }
}

/**
 * Reads `created` as a half-open range. Timestamps on the wire are whole seconds, so `created > T` means
 * "in a later second than T".
 */
function createdRangeOf(raw: unknown): CreatedRange | Refusal {
  if (!isHash(raw)) {
    const second = secondOf(raw);
    return second instanceof Refusal
      ? second
      : { from: dateOf(second), before: dateOf(second + 1) };
  }
  let from: number | undefined;
  let before: number | undefined;
  for (const [bound, value] of Object.entries(raw)) {
    const second = secondOf(value);
    if (second instanceof Refusal) return new Refusal(second.message, second.code, `[${bound}]`);
    if (bound === 'gte' || bound === 'gt') {
      from = Math.max(from ?? 0, bound === 'gt' ? second + 1 : second);
    } else if (bound === 'lt' || bound === 'lte') {
      before = Math.min(before ?? Infinity, bound === 'lte' ? second + 1 : second);
    } else {
      return new Refusal(
        (param) => `Received unknown parameter: ${param}. Use gt, gte, lt or lte.`,
        'parameter_unknown',
        `[${bound}]`,
      );
    }
  }
  return {
    ...(from === undefined ? {} : { from: dateOf(from) }),
    ...(before === undefined ? {} : { before: dateOf(before) }),
  };
}

function secondOf(raw: unknown): number | Refusal {
  const second = integerOf(raw);
  if (second instanceof Refusal || (second >= 0 && second <= LAST_SECOND)) return second;
  return new Refusal(
    (param) => `Invalid timestamp: ${param} must be in unix seconds, from 0 to ${LAST_SECOND}.`,
    'parameter_invalid_integer',
  );
}

function dateOf(second: number): Date {
  return new Date(second * 1000);
}
