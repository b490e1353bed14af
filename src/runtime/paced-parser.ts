/**
 * Hands what a connection sent to Node's HTTP parser in slices, and none while requests of it wait.
 *
 * Node parses all that one read brings: 64 KB of the smallest requests are 3,600 heads of 2 KB each, made in
 * one go. A hundred connections that send so much at the same moment would stop everybody else for
 * seconds. What waits here waits as the bytes that it is.
 */
import type { Socket } from 'node:net';

/** Bytes that are parsed at once: at most a hundred heads or so. */
const SLICE_BYTES = 2_048;

/**
 * Comes between a connection and Node's parser. Node adds its listener for `data` before the server says
 * `connection`, and calls nothing else with what arrives.
 *
 * @param mustWait whether requests of this connection wait for their turn
 */
export function paceParsing(socket: Socket, mustWait: () => boolean): void {
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
  // Nothing new is read before this is heard.
  socket.on('resume', goOn);
}
