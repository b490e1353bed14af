/** Keys by the million: what they are called, what they respond, how they come into the table. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { Client, Connection, Submittable } from 'pg';

/** A response has so many bytes, which is what a payments API gives. */
export const RESPONSE_BYTES = 600;

/** Key number `n`: always the same, and as random as the UUIDs that clients make. */
export function keyNamed(n: number): string {
  const hex = createHash('md5').update(String(n)).digest('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-');
}

/** Random letters to cut ids out of: ten times as fast as to draw each. */
const LETTERS = randomBytes(1 << 19)
  .toString('base64')
  .replaceAll(/[^\da-z]/gi, '');

function letters(count: number): string {
  const at = Math.floor(Math.random() * (LETTERS.length - count));
  return LETTERS.slice(at, at + count);
}

/** A payment as its API shows it, random where one differs from the next, and always of one size. */
export function paymentBody(): object {
  const id = `pi_${letters(24)}`;
  return {
    id,
    object: 'payment_intent',
    amount: 1_000 + Math.floor(Math.random() * 9_000),
    amount_capturable: 0,
    capture_method: 'automatic',
    client_secret: `${id}_secret_${letters(24)}`,
    confirmation_method: 'automatic',
    created: Math.floor(Date.now() / 1_000),
    currency: 'usd',
    customer: `cus_${letters(24)}`,
    description: `Order ${letters(6)}`,
    last_payment_error: null,
    latest_charge: `ch_${letters(24)}`,
    livemode: false,
    metadata: { order_id: randomUUID() },
    payment_method: `pm_${letters(24)}`,
    payment_method_types: ['card'],
    status: 'succeeded',
  };
}

/** A row as PostgreSQL writes it: each column's text. */
type RowText = Readonly<Record<string, string | null>>;

/** A finished key that the product has stored, to make others of. */
export async function anyFinished(sql: Client): Promise<RowText> {
  const { rows } = await sql.query<RowText>({
    text: 'SELECT * FROM idempotency_keys WHERE status IS NOT NULL LIMIT 1',
    types: { getTypeParser: () => (text: string) => text },
  });
  if (!rows[0]) throw new Error('There is no finished key to make others of.');
  return rows[0];
}

/** A key's life in ms since 1970. */
export interface Life {
  readonly from: number;
  readonly to: number;
}

/**
 * What one finished key has of its own; all else, the fingerprint too, it shares with the row it is
 * made of. The one place to change when the store keeps its rows otherwise.
 */
const ownColumns = (n: number, { from, to }: Life): RowText => ({
  key: keyNamed(n),
  claim_id: randomUUID(),
  original_request: randomUUID(),
  body: `\\x${Buffer.from(JSON.stringify(paymentBody())).toString('hex')}`,
  created_at: new Date(from).toISOString(),
  expires_at: new Date(to).toISOString(),
});

/** Numbers of keys: `from` is included, `to` is not. */
interface Range {
  readonly from: number;
  readonly to: number;
}

/** COPY of some keys: a third less work for PostgreSQL than INSERT … SELECT. */
export function copyKeys(
  sql: Client,
  template: RowText,
  { from, to }: Range,
  lifeOf: (n: number) => Life,
): Promise<void> {
  const columns = Object.keys(template);
  return new Promise((resolve, reject) => {
    sql.query(
      new CopyIn(
        `COPY idempotency_keys (${columns.join(', ')}) FROM STDIN`,
        inChunks(linesOf(template, { from, to }, lifeOf)),
        (error) => (error ? reject(error) : resolve()),
      ),
    );
  });
}

function* linesOf(template: RowText, { from, to }: Range, lifeOf: (n: number) => Life) {
  const parts = Object.values(template).map(inCopy);
  const own = Object.keys(ownColumns(from, lifeOf(from))).map((name) => ({
    name,
    at: Object.keys(template).indexOf(name),
  }));
  for (let n = from; n < to; n += 1) {
    const values = ownColumns(n, lifeOf(n));
    for (const { name, at } of own) parts[at] = inCopy(values[name] ?? null);
    yield `${parts.join('\t')}\n`;
  }
}

/** A value in COPY's text format. */
function inCopy(text: string | null): string {
  if (text === null) return '\\N';
  return text
    .replaceAll('\\', '\\\\')
    .replaceAll('\t', '\\t')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r');
}

const CHUNK = 200;

function* inChunks(lines: Iterable<string>) {
  let chunk: string[] = [];
  for (const line of lines) {
    if (chunk.push(line) < CHUNK) continue;
    yield Buffer.from(chunk.join(''));
    chunk = [];
  }
  yield Buffer.from(chunk.join(''));
}

/** pg speaks this part of the protocol and leaves it to others to use it; its types do not tell. */
interface CopyingConnection extends Connection {
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

/** One COPY … FROM STDIN, as a query of pg's Client. */
class CopyIn implements Submittable {
  #failure?: Error;

  constructor(
    private readonly text: string,
    private readonly chunks: Iterable<Buffer>,
    readonly callback: (error?: Error) => void,
  ) {}

  submit(connection: Connection): void {
    connection.query(this.text);
  }

  handleCopyInResponse(connection: CopyingConnection): void {
    this.feed(connection).catch(this.callback);
  }

  handleCommandComplete(): void {
    // ReadyForQuery follows.
  }

  handleError(error: Error): void {
    this.#failure = error;
    this.callback(error);
  }

  handleReadyForQuery(): void {
    this.callback();
  }

  private async feed(connection: CopyingConnection): Promise<void> {
    for (const chunk of this.chunks) {
      if (this.#failure) return;
      connection.sendCopyFromChunk(chunk);
      if (connection.stream.writableNeedDrain) await once(connection.stream, 'drain');
    }
    connection.endCopyFrom();
  }
}
