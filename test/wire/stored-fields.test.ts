/** One list of fields makes the values of rows and of responses. */
import { arrayOf, object, orNull, storedAs, StoredFields, text, type TypeOf } from '../../src/wire';

const fields = new StoredFields({
  sent_by: storedAs('sentBy', orNull(text()), null),
  labels: storedAs('labels', arrayOf(text()), []),
  tone: storedAs('tone', text(), 'plain'),
});
const noteSchema = object({ id: text(), ...fields.schemas });

/** A row has columns of its own beside them. */
const row = { id: 'note_1', secret: 'x', sentBy: 'Ada', labels: ['a', 'b'], tone: 'warm' };

it('a new row has every field, also those that the request leaves out', () => {
  expect(fields.newRow({ sent_by: 'Ada', tone: undefined })).toEqual({
    sentBy: 'Ada',
    labels: [],
    tone: 'plain',
  });
});

it('a change sets what the request names, unsets what is null and leaves the rest alone', () => {
  expect(fields.changes({ sent_by: null, labels: null, tone: 'warm' })).toEqual({
    sentBy: null,
    labels: [],
    tone: 'warm',
  });
  expect(fields.changes({ labels: ['c'] })).toEqual({
    sentBy: undefined,
    labels: ['c'],
    tone: undefined,
  });
});

it('only the listed fields are stored, shown and copied', () => {
  const request = { sent_by: 'Ada', amount: 5 };
  expect(fields.newRow(request)).not.toHaveProperty('amount');
  expect(fields.changes(request)).not.toHaveProperty('amount');
  expect(fields.toWire(row)).toEqual({ sent_by: 'Ada', labels: ['a', 'b'], tone: 'warm' });
  expect(fields.copy(row)).toEqual({ sentBy: 'Ada', labels: ['a', 'b'], tone: 'warm' });
});

it('the types follow from the schemas', () => {
  const shown: TypeOf<typeof noteSchema> = { id: row.id, ...fields.toWire(row) };
  const sentBy: string | null = fields.newRow({}).sentBy;
  // @ts-expect-error a list of numbers is no list of texts
  fields.changes({ labels: [1] });
  // @ts-expect-error a row without the column
  const wrong = () => fields.copy({ sentBy: null, labels: [] });
  expect([shown.tone, sentBy, wrong().tone]).toEqual(['warm', null, undefined]);
  expect(noteSchema.json).toMatchObject({ required: ['id', 'sent_by', 'labels', 'tone'] });
});
