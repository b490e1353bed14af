/**
 * A file of lines that survives a crash of its process at any moment. A line counts once it is synced; the
 * next start cuts off a line that a crash left incomplete.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, realpath, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { once } from 'node:events';
import { OperatorError } from '../runtime';

/** The acquirer ledger cannot be used; the message is a sentence for the operator. */
export class AcquirerLedgerError extends OperatorError {}

const NEWLINE = 0x0a;

/** Far more than any line of an acquirer ledger. A file without line ends is none. */
const MAX_LINE_BYTES = 1_048_576;

/** A line that is not on disk yet. */
interface PendingLine {
  readonly line: string;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class AppendOnlyFile {
  private pending: PendingLine[] = [];
  private syncing: Promise<void> | undefined;
  private failure: AcquirerLedgerError | undefined;
  private failureListener: (error: AcquirerLedgerError) => void = () => undefined;

  private constructor(
    readonly path: string,
    private readonly file: FileHandle,
    private readonly lock: Server,
  ) {}

  /**
   * Opens a file, or creates one, for this process alone.
   *
   * @param each called with every whole line, in order, and its number from 1
   * @throws AcquirerLedgerError where it cannot be opened, or is open in another process
   */
  static async open(
    path: string,
    each: (line: string, number: number) => void,
  ): Promise<AppendOnlyFile> {
    const file = await openFile(path);
    let lock: Server | undefined;
    try {
      lock = await lockFile(await realpath(path));
      if (!lock)
        throw new AcquirerLedgerError(`The ledger ${path} is open in another acquirer: stop it.`);
      const end = await readLines(path, each);
      await file.truncate(end);
      // Lines that a killed process wrote and did not sync count from now on.
      await file.sync();
      return new AppendOnlyFile(path, file, lock);
    } catch (error) {
      lock?.close();
      await file.close();
      throw error;
    }
  }

  /**
   * Resolves once the line is on disk. Lines are written in the order of the calls; all that arrive during
   * one sync share the next.
   *
   * @throws AcquirerLedgerError once a write failed: nobody knows then which lines are on disk, so the
   *   file takes no more
   */
  append(line: string): Promise<void> {
    if (this.failure) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => {
      this.pending.push({ line, resolve, reject });
      this.syncing ??= this.sync();
    });
  }

  /** Calls the listener, once, when the file cannot be written. */
  onFailure(listener: (error: AcquirerLedgerError) => void): void {
    this.failureListener = listener;
  }

  /** Waits until all lines are on disk. */
  async close(): Promise<void> {
    await this.syncing;
    await this.file.close();
    this.lock.close();
  }

  private async sync(): Promise<void> {
    // Takes along all lines of this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.pending.length > 0) {
      const batch = this.pending;
      this.pending = [];
      try {
        await this.write(Buffer.from(batch.map(({ line }) => `${line}\n`).join('')));
        for (const { resolve } of batch) resolve();
      } catch (error) {
        this.failure = new AcquirerLedgerError(
          `The ledger ${this.path} cannot be written (${(error as Error).message}): free the disk and start again.`,
        );
        for (const { reject } of [...batch, ...this.pending]) reject(this.failure);
        this.pending = [];
        this.failureListener(this.failure);
      }
    }
    this.syncing = undefined;
  }

  private async write(bytes: Buffer): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      done += (await this.file.write(bytes, done)).bytesWritten;
    }
    await this.file.datasync();
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(path, 'a');
    // A file is only as durable as the entry of its directory.
    const directory = await open(dirname(path), 'r');
    await directory.sync();
    await directory.close();
    return file;
  } catch (error) {
    const { message } = error as Error;
    throw new AcquirerLedgerError(`The ledger ${path} cannot be opened: ${message}.`, {
      cause: error,
    });
  }
}

/** Reads the whole lines. @returns where the last of them ends, in bytes */
async function readLines(
  path: string,
  each: (line: string, number: number) => void,
): Promise<number> {
  let [end, number, rest] = [0, 0, Buffer.alloc(0)];
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    const bytes = Buffer.concat([rest, chunk]);
    let start = 0;
    for (let stop = 0; (stop = bytes.indexOf(NEWLINE, start)) >= 0; start = stop + 1) {
      each(bytes.toString('utf8', start, stop), ++number);
    }
    end += start;
    rest = bytes.subarray(start);
    if (rest.length > MAX_LINE_BYTES) throw new AcquirerLedgerError(`${path} is not a ledger.`);
  }
  return end;
}

/** Every system takes a path of this length for a socket. */
const MAX_SOCKET_PATH_BYTES = 100;

/**
 * Locks the file by a socket, which lives as long as its process, however that ends. Two acquirers on one
 * file would each know only half of the orders.
 *
 * @returns undefined where another process has the file
 */
async function lockFile(path: string): Promise<Server | undefined> {
  const socket = socketOf(path);
  for (;;) {
    const server = createServer((caller) => caller.destroy()).listen(socket);
    try {
      await once(server, 'listening');
      return server.unref();
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== 'EADDRINUSE')
        throw new AcquirerLedgerError(`${socket} cannot be made: ${message}.`);
      if (await hasListener(socket)) return undefined;
      await rm(socket, { force: true });
    }
  }
}

/** Beside the file; where that path is too long, among the temporary files. */
function socketOf(path: string): string {
  const beside = `${path}.lock`;
  if (Buffer.byteLength(beside) <= MAX_SOCKET_PATH_BYTES) return beside;
  const name = createHash('sha256').update(path).digest('hex').slice(0, 24);
  return join(tmpdir(), `paidonce-${name}.lock`);
}

async function hasListener(socket: string): Promise<boolean> {
  const caller = connect(socket);
  try {
    await once(caller, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    caller.destroy();
  }
}
