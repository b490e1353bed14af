/** Reads bodies into memory, up to a limit. */

export type Bytes = Uint8Array<ArrayBuffer>;

/** The beginning of a body, or all of it. */
export interface ReadAhead {
  /** The chunks that were read. */
  readonly chunks: Bytes[];
  /** The whole body, where it ended within the limit. */
  readonly whole?: Bytes;
}

/** Reads until the end, or until `limit` bytes were read. */
export async function readAhead(
  reader: ReadableStreamDefaultReader<Bytes>,
  limit: number,
): Promise<ReadAhead> {
  const chunks: Bytes[] = [];
  for (let room = limit; room > 0;) {
    const { done, value } = await reader.read();
    if (done) return { chunks, whole: await join(chunks) };
    chunks.push(value);
    room -= value.byteLength;
  }
  return { chunks };
}

async function join([first = new Uint8Array(), ...more]: Bytes[]): Promise<Bytes> {
  return more.length === 0 ? first : new Uint8Array(await new Blob([first, ...more]).arrayBuffer());
}

/** A stream of the chunks that were read and the rest of the body. */
export function continueBody(
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
