/**
 * Hands what a connection sent to Node's HTTP parser in slices, and none while requests of it wait.
 *
 * Node parses everything that one read brings: 64 KB of the smallest requests become 3,600 heads of 2 KB
 * each. A hundred such connections at the same moment would block all others for seconds. Here the bytes
 * wait unparsed.
 */
import type { Socket } from 'node:net';

/** Bytes that are parsed at once: at most a hundred heads or so. */
const SLICE_BYTES = 2_048;

/**
 * Comes between a connection and Node's parser. Node adds its listener for `data` before the server emits
 * `connection`, and has no other way to read.
 *
 * @param mustWait whether requests of this connection wait for their turn
 */
export function paceParsing(socket: Socket, mustWait: () => boolean): void {
  // Internals: parser-of-node
  const [parse] = socket.listeners('data') as ((bytes: Buffer) => void)[];
  if (!parse) throw new Error('Node.js no longer reads connections by a listener for data.');
  let unparsed: Buffer | undefined;
  const goOn = () => {
    while (unparsed && !socket.destroyed) {
      if (mustWait()) socket.pause();
      if (socket.isPaused()) return;
      const slice = unparsed.subarray(0, SLICE_BYTES);
      unparsed = unparsed.length > SLICE_BYTES ? unparsed.subarray(SLICE_BYTES) : undefined;
      parse(slice);
    }
  };
  socket.off('data', parse);
  socket.on('data', (bytes: Buffer) => {
    unparsed = unparsed ? Buffer.concat([unparsed, bytes]) : bytes;
    goOn();
  });
  // This listener runs before anything new is read.
  socket.on('resume', goOn);
}
