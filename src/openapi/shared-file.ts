/** A file that all its responses share: read, compressed and hashed once. */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** A file in both encodings, once in memory however many responses are being sent. */
export class SharedFile {
  private constructor(
    private readonly type: string,
    private readonly plain: Buffer,
    private readonly gzipped: Buffer,
    private readonly tag: string,
  ) {}

  /** @param type its `Content-Type` */
  static async create(type: string, bytes: Buffer): Promise<SharedFile> {
    const tag = createHash('sha256').update(bytes).digest('base64url').slice(0, 27);
    return new SharedFile(type, bytes, await promisify(gzip)(bytes), tag);
  }

  /** Sends the file in an encoding that the client accepts; 304 if the client has it (RFC 9110, 13.1.2). */
  send({ headers }: FastifyRequest, reply: FastifyReply): FastifyReply {
    const isGzipped = acceptsGzip(headers['accept-encoding']);
    // Each encoding has a tag of its own (RFC 9110, 8.8.3.3).
    const tag = isGzipped ? `"${this.tag}-gzip"` : `"${this.tag}"`;
    reply.headers({ etag: tag, vary: 'accept-encoding', 'cache-control': 'public, max-age=3600' });
    if (matchesTag(headers['if-none-match'], tag)) return reply.code(304).send();
    if (isGzipped) reply.header('content-encoding', 'gzip');
    return reply.type(this.type).send(isGzipped ? this.gzipped : this.plain);
  }
}

/** Whether `Accept-Encoding` accepts gzip; of RFC 9110, 12.5.3, the part that clients use. */
function acceptsGzip(accepted: string | string[] | undefined): boolean {
  const codings = String(accepted ?? '')
    .toLowerCase()
    .split(',');
  return codings.some((coding) => /^\s*gzip\s*(;\s*q=(?!0(\.0*)?\s*$).*)?$/.test(coding));
}

function matchesTag(wanted: string | undefined, tag: string): boolean {
  const tags = (wanted ?? '').split(',').map((text) => text.trim().replace(/^W\//, ''));
  return tags.includes(tag) || tags.includes('*');
}
