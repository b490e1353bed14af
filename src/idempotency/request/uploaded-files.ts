/**
 * The files of a form, as multer, @fastify/multipart and express-fileupload leave them on a request: read into
 * what they are compared by, which is field, original name, type and content (R7a). Never a path or a name
 * that a library made.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { isUint8Array } from 'node:util/types';
import { IdempotencyBodyUnreadableError } from '../contract/idempotency.errors';
import type { HttpRequest } from '../contract/idempotency.options';

/** A file of a form. */
export interface UploadedFile {
  readonly field: string;
  /** As the client called it. */
  readonly name: string;
  readonly type: string;
  /** Bytes, or the path of a file of this machine; nothing where a library sent them elsewhere. */
  readonly content?: Uint8Array | string;
}

/** What is compared of a file. */
export interface FileDigest extends Omit<UploadedFile, 'content'> {
  /** SHA-256 of its content, in hex; empty where `fingerprint` stands for that. */
  readonly hash: string;
}

/** A form without its files. */
export interface Form {
  readonly body: unknown;
  readonly files: readonly UploadedFile[];
}

/** How many bytes are hashed before other requests have their turn. */
const HASHED_AT_ONCE_BYTES = 1_048_576;

/**
 * Takes the files out of a form. Only for a body whose type is `multipart/…`: elsewhere an application may
 * use these properties for something else.
 */
export function formOf(http: HttpRequest, parsed: unknown): Form {
  const files = [http.file, http.files, http.savedRequestFiles].flatMap(filesIn);
  const parts = partsOf(parsed);
  if (!parts) return { body: parsed, files: inOrder(files) };
  const body: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [name, part] of parts) {
    const all = Array.isArray(part) ? part : [part];
    const { fields, contents } = splitParts(all as readonly Part[]);
    files.push(...contents);
    if (fields.length > 0) body[name] = Array.isArray(part) ? fields : fields[0];
  }
  return { body, files: inOrder(files) };
}

/**
 * Hashes the contents, as streams.
 *
 * @param mayLack whether something else stands for the content that a file lacks
 * @throws IdempotencyBodyUnreadableError for a file without content, or with one that cannot be read
 */
export async function digestFiles(
  files: readonly UploadedFile[],
  mayLack: boolean,
): Promise<FileDigest[]> {
  const digests: FileDigest[] = [];
  for (const { content, ...file } of files) {
    if (content === undefined && !mayLack) {
      throw new IdempotencyBodyUnreadableError(
        `The content of the file in the field "${file.field}" is neither in memory nor at a path.`,
        'The developer of the endpoint stores uploads in memory or on disk, or sets ' +
          '@Idempotent({ fingerprint }).',
      );
    }
    digests.push({ ...file, hash: content === undefined ? '' : await hashOf(content, file.field) });
  }
  return digests;
}

async function hashOf(content: Uint8Array | string, field: string): Promise<string> {
  const hashing = createHash('sha256');
  try {
    for await (const chunk of typeof content === 'string'
      ? createReadStream(content)
      : inPieces(content)) {
      hashing.update(chunk as Uint8Array);
    }
  } catch (cause) {
    throw new IdempotencyBodyUnreadableError(
      `The file in the field "${field}" could not be read where it was stored.`,
      'The developer of the endpoint finds the cause in the log.',
      { cause },
    );
  }
  return hashing.digest('hex');
}

async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += HASHED_AT_ONCE_BYTES) {
    if (at > 0) await setImmediate();
    yield bytes.subarray(at, at + HASHED_AT_ONCE_BYTES);
  }
}

/** Of several fields the order does not count, of one field's files it does. */
function inOrder(files: readonly UploadedFile[]): UploadedFile[] {
  return files.toSorted((a, b) => (a.field < b.field ? -1 : +(a.field > b.field)));
}

/** One file, a list, or both by field. @fastify/multipart's functions of these names are none. */
function filesIn(left: unknown): UploadedFile[] {
  if (typeof left !== 'object' || left === null) return [];
  if (Array.isArray(left) || isFile(left)) return listOf(left, '');
  return Object.entries(left).flatMap(([field, ofField]) => listOf(ofField, field));
}

function listOf(left: unknown, field: string): UploadedFile[] {
  const all: unknown[] = Array.isArray(left) ? left : [left];
  return all.filter(isFile).map((file) => toFile(file, field));
}

/** What the libraries say of a file. */
interface LibraryFile {
  readonly fieldname?: string;
  readonly originalname?: string;
  readonly filename?: string;
  readonly name?: string;
  readonly mimetype?: string;
  readonly path?: unknown;
  readonly filepath?: unknown;
  readonly tempFilePath?: unknown;
  readonly buffer?: unknown;
  readonly data?: unknown;
  readonly _buf?: unknown;
}

/** Lists by field are no file, whatever a client calls its fields. */
function isFile(value: unknown): value is LibraryFile {
  if (typeof value !== 'object' || value === null) return false;
  const { mimetype, originalname, filename, name } = value as LibraryFile;
  return typeof mimetype === 'string' || typeof (originalname ?? filename ?? name) === 'string';
}

function toFile(file: LibraryFile, field: string): UploadedFile {
  const path = [file.path, file.filepath, file.tempFilePath].find(
    (one): one is string => typeof one === 'string' && one !== '',
  );
  // Internals: parsed-bodies
  const content = path ?? [file.buffer, file.data, file._buf].find((one) => isUint8Array(one));
  return {
    field: file.fieldname ?? field,
    // multer's `filename` is one that it made.
    name: file.originalname ?? file.filename ?? file.name ?? '',
    type: file.mimetype ?? '',
    ...(content === undefined ? {} : { content }),
  };
}

/** A part of a form, as @fastify/multipart leaves it with `attachFieldsToBody: true`. */
interface Part extends LibraryFile {
  /** All parts: the body itself. */
  readonly fields: unknown;
  readonly value?: unknown;
}

/** The members of a body of such parts. No client can make a body that contains itself. */
function partsOf(body: unknown): [string, unknown][] | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const members = Object.entries(body);
  const isOne = (value: unknown) => (value as Part | null | undefined)?.fields === body;
  const all = members.flatMap(([, value]) =>
    Array.isArray(value) ? (value as unknown[]) : [value],
  );
  return all.length > 0 && all.every(isOne) ? members : undefined;
}

function splitParts(parts: readonly Part[]): { fields: unknown[]; contents: UploadedFile[] } {
  const isOfFile = (part: Part) => typeof (part as { toBuffer?: unknown }).toBuffer === 'function';
  const contents = parts.filter(isOfFile).map((part) => {
    const file = toFile({ ...part, path: undefined, filepath: undefined }, '');
    // A hook of the application may have read the content into `value`.
    const { value } = part;
    const read = typeof value === 'string' ? Buffer.from(value) : value;
    return file.content === undefined && isUint8Array(read) ? { ...file, content: read } : file;
  });
  const fields = parts.filter((part) => !isOfFile(part)).map((part) => [part.mimetype, part.value]);
  return { fields, contents };
}
