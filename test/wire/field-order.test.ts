/** Fields of a resource stand in one order, whatever puts them together. */
import { blankOf, inOrder } from '../../src/wire';

const fields = { amount: 1, object: 'note', sent_by: 2, captured: 3, capture_method: 4, id: 5 };
const ORDER = ['id', 'object', 'amount', 'capture_method', 'captured', 'sent_by'];

it('is id, object, and then by name, byte by byte', () => {
  expect(Object.keys(inOrder(fields))).toEqual(ORDER);
  expect(inOrder(fields)).toEqual(fields);
});

it('is kept by a response that begins with the blank fields', () => {
  const listed = { sent_by: 'Ada', amount: 5 };
  const response = {
    ...blankOf(inOrder(fields)),
    id: 'note_1',
    object: 'note',
    ...listed,
    captured: true,
    capture_method: 'manual',
  };
  expect(Object.keys(response)).toEqual(ORDER);
  expect(response).toMatchObject(listed);
});
