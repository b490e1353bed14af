/** `docs/ERRORS.md`, made of the table of errors by `npm run openapi`. */
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import {
  ERROR_CODES,
  ERROR_TYPES,
  type ErrorEntry,
  type ErrorTypeEntry,
  RETRIES,
} from '../../src/wire';

const INTRODUCTION = `# Errors

Every error that the API and \`@Idempotent()\` send. On /v1 an error is Stripe's envelope, and its
\`doc_url\` leads to the part of the server's own page \`/docs/errors\` that explains it (R24). This file
says the same; \`npm run openapi\` makes both of one table in the code.

On a NestJS application of your own, the codes that begin with \`idempotency_\` are sent as RFC 9457
problem details. Their statuses are those below, but \`idempotency_key_reused\` is 422 there.`;

/** The file, as prettier writes it. */
export async function errorReference(): Promise<string> {
  const codes = Object.entries<ErrorEntry>(ERROR_CODES);
  const types = Object.entries<ErrorTypeEntry>(ERROR_TYPES);
  const text = [
    INTRODUCTION,
    '## Codes',
    ['| code | status | |', '| --- | --- | --- |', ...codes.map(row)].join('\n'),
    ...codes.map(codeSection),
    '## Types',
    'An error without a code is explained by its type and its status.',
    ...types.map(typeSection),
  ].join('\n\n');
  const path = join(__dirname, '..', '..', 'docs', 'ERRORS.md');
  return format(text, { ...(await resolveConfig(path)), filepath: path });
}

function row([code, { status, title }]: [string, ErrorEntry]): string {
  return `| [\`${code}\`](#${code}) | ${status.join(', ')} | ${title} |`;
}

function codeSection([code, entry]: [string, ErrorEntry]): string {
  const { status, type, title, when, action, retry } = entry;
  return `### \`${code}\`

${title}. Status ${status.join(' or ')}, type [\`${type}\`](#${type}).

- **When**: ${when}
- **What to do**: ${action}
- **Retry**: ${RETRIES[retry]}`;
}

function typeSection([type, { title, when, withoutCode }]: [string, ErrorTypeEntry]): string {
  const statuses = Object.entries(withoutCode).map(([status, text]) => `- **${status}**: ${text}`);
  return [`### \`${type}\``, `${title}. ${when}`, statuses.join('\n')].join('\n\n');
}
