/** Reads HTTP/1.1 responses off a raw socket, one after the other, as they come. */

export interface RawResponse {
  readonly status: number;
  /** In lower case, as one text. */
  readonly head: string;
  /** How the body begins. */
  readonly body: string;
}

/** Of a body this much is kept. */
const KEPT_BYTES = 2_048;
const HEAD_END = Buffer.from('\r\n\r\n');
const LINE_END = Buffer.from('\r\n');

/** What is being read: a head, so many more bytes of a body, or a chunk's line. */
type State =
  | { readonly reads: 'head' }
  | { readonly reads: 'body'; readonly left: number; readonly next: 'done' | 'chunk' }
  | { readonly reads: 'chunk' };

export class ResponseReader {
  #bytes: Buffer = Buffer.alloc(0);
  #state: State = { reads: 'head' };
  #current = { status: 0, head: '' };
  #body: Buffer = Buffer.alloc(0);

  /** @param onResponse gets each response when it is complete, interim ones (1xx) too */
  constructor(private readonly onResponse: (response: RawResponse) => void) {}

  /** Whether a response has begun and is not complete. */
  get midway(): boolean {
    return this.#state.reads !== 'head' || this.#bytes.length > 0;
  }

  take(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    while (this.step());
  }

  /** @returns whether there was enough to read on */
  private step(): boolean {
    const state = this.#state;
    if (state.reads === 'head') return this.readHead();
    if (state.reads === 'chunk') return this.readChunkLine();
    const taken = this.#bytes.subarray(0, state.left);
    if (this.#body.length < KEPT_BYTES) {
      this.#body = Buffer.concat([this.#body, taken]).subarray(0, KEPT_BYTES);
    }
    this.#bytes = this.#bytes.subarray(taken.length);
    const left = state.left - taken.length;
    if (left > 0) {
      this.#state = { ...state, left };
      return false;
    }
    if (state.next === 'chunk') this.#state = { reads: 'chunk' };
    else this.finish();
    return true;
  }

  private readHead(): boolean {
    const end = this.#bytes.indexOf(HEAD_END);
    if (end < 0) return false;
    const head = this.#bytes.toString('latin1', 0, end).toLowerCase();
    this.#bytes = this.#bytes.subarray(end + HEAD_END.length);
    this.#current = { status: Number(head.slice(9, 12)), head };
    this.#body = Buffer.alloc(0);
    const { status } = this.#current;
    if (status < 200 || status === 204 || status === 304) this.finish();
    else if (head.includes('\r\ntransfer-encoding: chunked')) this.#state = { reads: 'chunk' };
    else this.readBody(Number(/\r\ncontent-length: (\d+)/.exec(head)?.[1] ?? 0), 'done');
    return true;
  }

  private readChunkLine(): boolean {
    const end = this.#bytes.indexOf(LINE_END);
    if (end < 0) return false;
    const size = Number.parseInt(this.#bytes.toString('latin1', 0, end), 16);
    this.#bytes = this.#bytes.subarray(end + LINE_END.length);
    // The end of a chunk's line belongs to it.
    this.readBody(size + LINE_END.length, size === 0 ? 'done' : 'chunk');
    return true;
  }

  private readBody(left: number, next: 'done' | 'chunk'): void {
    this.#state = { reads: 'body', left, next };
  }

  private finish(): void {
    this.#state = { reads: 'head' };
    this.onResponse({ ...this.#current, body: this.#body.toString('utf8') });
  }
}
