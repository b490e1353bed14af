/** `npm run packages`: makes both packages in dist/packages, as they are published. */
import { mkdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { cutPackage, PACKAGES } from './cut';

const ROOT = join(__dirname, '..', '..');
const into = join(ROOT, 'dist', 'packages');

mkdirSync(into, { recursive: true });
for (const name of PACKAGES) {
  const tarball = cutPackage(name, into);
  const kilobytes = Math.ceil(statSync(tarball).size / 1_000);
  process.stdout.write(`${relative(ROOT, tarball)} ${kilobytes} KB\n`);
}
