/** The page that explains every error (R24), made of `ERROR_CODES` and `ERROR_TYPES`. */
import { createHash } from 'node:crypto';
import { ERROR_CODES, ERROR_TYPES, type ErrorEntry, type ErrorTypeEntry, RETRIES } from '../wire';

/** Colours are the system's, and have its contrast. Nothing is wider than a screen of 360 px. */
const STYLE = `
:root { color-scheme: light dark; --line: #c9ced6; --soft: #f3f5f8; --mark: #fff3c4; --link: #0b57d0; }
@media (prefers-color-scheme: dark) {
  :root { --line: #454b55; --soft: #22262c; --mark: #4a3f10; --link: #a8c7fa; }
}
* { box-sizing: border-box; }
body { margin: 0; font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
main { max-width: 46rem; margin: 0 auto; padding: 1rem; }
a { color: var(--link); }
code { font: 0.92em/1.4 ui-monospace, monospace; background: var(--soft); padding: 0.1em 0.3em; border-radius: 0.25rem; }
pre { background: var(--soft); padding: 0.75rem; border-radius: 0.25rem; white-space: pre-wrap; }
pre code { padding: 0; }
nav ul { columns: 15rem; padding: 0; list-style: none; }
nav li { break-inside: avoid; padding: 0.2rem 0; }
section { border-top: 1px solid var(--line); padding: 0.25rem 0.5rem; scroll-margin-top: 0.5rem; }
section:target { background: var(--mark); }
section h3 a { color: inherit; text-decoration: none; }
section h3 a:hover, section h3 a:focus { text-decoration: underline; }
dl { display: grid; grid-template-columns: 8rem 1fr; gap: 0.35rem 0.75rem; }
dt { font-weight: 600; }
dd { margin: 0; }
@media (max-width: 32rem) { dl { grid-template-columns: 1fr; } dd { margin: 0 0 0.5rem; } }
`;

/** No script, no request to anywhere: the style is allowed by its hash, the empty icon as data. */
export const ERROR_PAGE_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The page as HTML. Each code and each type is the id of the section that explains it. */
export function errorPage(): string {
  const codes = Object.entries<ErrorEntry>(ERROR_CODES);
  const types = Object.entries<ErrorTypeEntry>(ERROR_TYPES);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Errors of the paidonce API</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>Errors of the paidonce API</h1>
<p>An error has a status of 400 or above and this body. The message says what is wrong with this
request; <code>doc_url</code> leads to the part of this page that explains the error.</p>
<pre><code>{"error": {"code": "…", "param": "…", "doc_url": "…", "message": "…", "type": "…"}}</code></pre>
<nav aria-label="Errors">
<h2>By code</h2>
${linksTo(codes)}
<h2>By type</h2>
${linksTo(types)}
</nav>
<h2>Codes</h2>
${codes.map(codeSection).join('\n')}
<h2>Types</h2>
<p>An error without a code is explained by its type and its status.</p>
${types.map(typeSection).join('\n')}
</main>
</body>
</html>
`;
}

function linksTo(entries: readonly (readonly [string, unknown])[]): string {
  const items = entries.map(([name]) => `<li><a href="#${name}"><code>${name}</code></a></li>`);
  return `<ul>\n${items.join('\n')}\n</ul>`;
}

function codeSection([code, entry]: readonly [string, ErrorEntry]): string {
  const { status, type, when, action, retry } = entry;
  return section(code, entry.title, [
    ['Status', status.join(' or ')],
    ['Type', `<a href="#${type}"><code>${type}</code></a>`],
    ['When', html(when)],
    ['What to do', html(action)],
    ['Retry', html(RETRIES[retry])],
  ]);
}

function typeSection([type, { title, when, withoutCode }]: readonly [string, ErrorTypeEntry]) {
  const statuses = Object.entries(withoutCode).map(
    ([status, text]) => [status, html(text)] as const,
  );
  return section(type, title, [['When', html(when)], ...statuses]);
}

function section(id: string, title: string, rows: readonly (readonly [string, string])[]): string {
  const list = rows.map(([term, text]) => `<dt>${term}</dt>\n<dd>${text}</dd>`).join('\n');
  return `<section id="${id}" aria-labelledby="${id}-code">
<h3 id="${id}-code"><a href="#${id}"><code>${id}</code></a></h3>
<p>${html(title)}</p>
<dl>
${list}
</dl>
</section>`;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

/** Plain text with `code` in backticks as HTML. */
function html(text: string): string {
  return text
    .replaceAll(/[&<>]/g, (character) => ENTITIES[character] ?? '')
    .replaceAll(/`([^`]+)`/g, '<code>$1</code>');
}
