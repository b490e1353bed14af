/** That a body costs what its length says, counted in work and not in time. */
import { ApiError } from '../../src/wire';
import { CardSearch } from '../../src/idempotency/card-numbers/card-number';
import { readBody } from '../../src/wire/request/request-reader';
import { COSTLY_BODIES } from './costly-bodies';

const MEGABYTE = 1_000_000;
/** Steps of all searches for card numbers in a body, for each byte of it. */
const STEPS_A_BYTE = 8;

afterEach(() => jest.restoreAllMocks());

function read(body: Buffer, type: string): ApiError | undefined {
  try {
    readBody(body, { 'content-type': type });
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(ApiError);
    return error as ApiError;
  }
}

describe('a costly body', () => {
  it.each(Object.entries(COSTLY_BODIES))(
    'is searched for card numbers in steps as many as its bytes: %s',
    (_, { type, make }) => {
      const runs = jest.spyOn(CardSearch.prototype, 'run');
      const body = make(MEGABYTE);
      read(body, type); // learns the characters it has not met
      runs.mockClear();
      read(body, type);
      const steps = runs.mock.contexts.reduce<number>((sum, search) => sum + search.steps, 0);
      expect(steps / body.length).toBeLessThan(STEPS_A_BYTE);
    },
  );

  it.each(['numbers', 'empty hashes', 'names', 'the same name', 'open lists', 'open hashes'])(
    'of JSON is refused before anything is made of it: %s',
    (name) => {
      const parse = jest.spyOn(JSON, 'parse');
      const { type, make } = COSTLY_BODIES[`JSON: ${name}`] as (typeof COSTLY_BODIES)[string];
      expect(read(make(MEGABYTE), type)?.message).toMatch(/at most (1000|8)/);
      expect(parse).not.toHaveBeenCalled();
    },
  );

  it('of too many parameters is refused before one of them is read', () => {
    const decode = jest.spyOn(globalThis, 'decodeURIComponent');
    const { type, make } = COSTLY_BODIES[
      'form: names of one letter'
    ] as (typeof COSTLY_BODIES)[string];
    expect(read(make(MEGABYTE), type)?.message).toContain('500000 parameters; at most 1000');
    expect(decode).not.toHaveBeenCalled();
  });
});
