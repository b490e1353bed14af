/** A class of parameters may use class-validator's own decorators. A class without them does not pay for them. */
import 'reflect-metadata';
import * as classValidator from 'class-validator';
import { Equals, Matches, MaxLength, MinLength } from 'class-validator';
import { IsInteger, IsObjectOf, IsText, ListParams, WireValidationPipe } from '../../src/wire';
import { CardParams, ThingParams } from './things-app.fixture';

class CouponParams {
  @IsInteger({ required: true, min: 1 })
  percent: number;

  @IsText()
  @Matches(/^[A-Z]+$/, { message: 'A code has capital letters alone.' })
  code?: string;

  @MaxLength(3)
  region = 'all';

  @IsObjectOf(() => CardParams)
  card?: CardParams;
}

/** Inherits rules of both kinds, and replaces one. */
class GiftCouponParams extends CouponParams {
  @IsInteger({ required: true, min: 100, max: 100 })
  declare percent: number;

  @Equals('gift')
  kind = 'gift';
}

class NoteParams {
  @MinLength(2)
  note: string;
}

type Outcome = { param?: string; code?: string; message?: string };

/** The object that the handler gets. */
function read(metatype: new () => object, value: unknown): object {
  return new WireValidationPipe().transform(value, { type: 'body', metatype }) as object;
}

/** The error of a refused body. */
function refusal(metatype: new () => object, value: unknown): Outcome {
  try {
    read(metatype, value);
  } catch (error) {
    const { message, details } = error as Error & { details?: Outcome };
    return { message, ...details };
  }
  throw new Error('It was accepted.');
}

const validateSync = jest.spyOn(classValidator, 'validateSync');

beforeEach(() => validateSync.mockClear());

it('values pass through both kinds of rules, and a property of class-validator alone stays as it is', () => {
  const coupon = read(CouponParams, { percent: '20', code: 'SUMMER', region: 'eu' });
  expect(coupon).toBeInstanceOf(CouponParams);
  expect(coupon).toEqual({ percent: 20, code: 'SUMMER', region: 'eu' });
  expect(read(NoteParams, { note: 'hello' })).toEqual({ note: 'hello' });
});

it("class-validator's refusal names the parameter and has its message", () => {
  expect(refusal(CouponParams, { percent: 20, code: 'summer' })).toMatchObject({
    message: 'A code has capital letters alone.',
    param: 'code',
  });
  expect(refusal(CouponParams, { percent: 20, code: 'A', region: 'moon' })).toMatchObject({
    message: expect.stringContaining('region'),
    param: 'region',
  });
  expect(refusal(NoteParams, {})).toMatchObject({
    code: 'parameter_missing',
    message: 'Missing required param: note.',
  });
});

it('our rules come first, then those of class-validator, then the parameters of hashes', () => {
  const card = { exp_month: 13 };
  expect(refusal(CouponParams, { card, code: 'x', percent: 0 })).toMatchObject({
    param: 'percent',
  });
  expect(refusal(CouponParams, { card, code: 'x', percent: 1 })).toMatchObject({ param: 'code' });
  expect(refusal(CouponParams, { card, code: 'X', percent: 1 })).toMatchObject({
    param: 'card[exp_month]',
  });
});

it('a subclass has the rules of its base, and replaces those it declares again', () => {
  expect(read(GiftCouponParams, { percent: 100, code: 'A' })).toMatchObject({ kind: 'gift' });
  expect(refusal(GiftCouponParams, { percent: 20 })).toMatchObject({ param: 'percent' });
  expect(refusal(GiftCouponParams, { percent: 100, kind: 'x' })).toMatchObject({ param: 'kind' });
  expect(refusal(GiftCouponParams, { percent: 100, code: 'a' })).toMatchObject({ param: 'code' });
  expect(refusal(GiftCouponParams, { percnt: 100 })).toMatchObject({
    message: 'Received unknown parameter: percnt. Did you mean percent?',
  });
});

it('class-validator runs for classes with its decorators alone', () => {
  read(CouponParams, { percent: 20, code: 'A' });
  expect(validateSync).toHaveBeenCalledTimes(1);
  validateSync.mockClear();
  read(ThingParams, { amount: 1, currency: 'usd', card: { exp_month: 4 }, metadata: { a: 'b' } });
  read(ListParams, { limit: '3' });
  expect(refusal(ThingParams, { amount: 1 })).toMatchObject({ param: 'currency' });
  expect(validateSync).not.toHaveBeenCalled();
});
