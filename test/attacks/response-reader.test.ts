/** What the attacker makes of the bytes that it gets: every count of an attack rests on it. */
import { type RawResponse, ResponseReader } from './response-reader';

const plain = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';
const chunked =
  'HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n';
const interim = 'HTTP/1.1 100 Continue\r\n\r\n';
const empty = 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n';
const all = plain + chunked + interim + empty + plain;

/** @param pieceBytes how many bytes arrive at a time */
function read(text: string, pieceBytes: number) {
  const responses: RawResponse[] = [];
  const reader = new ResponseReader((response) => responses.push(response));
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    reader.take(bytes.subarray(at, at + pieceBytes));
  }
  return responses.map(({ status, body }) => [status, body.replaceAll('\r\n', '')]);
}

describe('responses on a raw socket', () => {
  it.each([1, 2, 7, 50, all.length])('are the same in pieces of %d bytes', (pieceBytes) => {
    expect(read(all, pieceBytes)).toEqual([
      [200, 'hello'],
      [404, 'abcde'],
      [100, ''],
      [304, ''],
      [200, 'hello'],
    ]);
  });

  it('are not complete before their last byte', () => {
    expect(read(plain.slice(0, -1), 10)).toEqual([]);
    expect(read(chunked.slice(0, -1), 10)).toEqual([]);
  });

  it('are kept in part only, and counted all the same', () => {
    const long = `HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n${'a'.repeat(100_000)}`;
    const [first, second] = read(long + plain, 1_000);
    expect(String(first?.[1]).length).toBeLessThan(5_000);
    expect(second).toEqual([200, 'hello']);
  });
});
