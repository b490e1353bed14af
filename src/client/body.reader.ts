/** Reading bodies into memory, within bounds. */

export type Bytes = Uint8Array<ArrayBuffer>;

/** The beginning of a body, or all of it. */
export interface ReadAhead {
  /** What has been read. */
  readonly chunks: Bytes[];
  /** All of it, where the body ended within the limit. */
  readonly whole?: Bytes;
}

/** Reads until the end, or until `limit` bytes have come. */
export async function readAhead(
  reader: ReadableStreamDefaultReader<Bytes>,
  limit: number,
): Promise<ReadAhead> {
  const chunks: Bytes[] = [];
  for (let room = limit; room > 0;) {
    const { done, value } = await reader.read();
    if (done) return { chunks, whole: await joined(chunks) };
    chunks.push(value);
    room -= value.byteLength;
  }
  return { chunks };
}

async function joined([first = new Uint8Array(), ...more]: Bytes[]): Promise<Bytes> {
  return more.length === 0 ? first : new Uint8Array(await new Blob([first, ...more]).arrayBuffer());
}

/** A stream of what has been read and of what is still to come. */
export function continued(
  { chunks }: ReadAhead,
  reader: ReadableStreamDefaultReader<Bytes>,
): ReadableStream<Bytes> {
  return new ReadableStream({
    async pull(controller) {
      const early = chunks.shift();
      if (early) return controller.enqueue(early);
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}
