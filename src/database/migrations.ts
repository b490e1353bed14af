/** Finds the migrations: a file `*.migration.ts` in any folder of `src` is one, and is listed nowhere else. */
import { readdirSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { Type } from '@nestjs/common';
import type { MigrationInterface } from 'typeorm';
import { OperatorError } from '../runtime';

const SOURCES = join(__dirname, '..');
/** `.js` in the built program, `.ts` in the tests: never both, and nothing but migrations is loaded. */
const ENDING = `.migration${extname(__filename)}`;

interface FoundMigration {
  readonly path: string;
  readonly type: Type<MigrationInterface>;
  /** When it was written, ms since 1970: the end of its name. */
  readonly timestamp: number;
}

/**
 * All migrations below a directory, in the order of their timestamps.
 *
 * @param directory default: everything this program consists of
 * @throws OperatorError where a file does not hold one migration, two have the same timestamp, or none is
 * found
 */
export function findMigrations(directory = SOURCES): Type<MigrationInterface>[] {
  const found = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(ENDING))
    .toSorted()
    .map((path) => migrationIn(directory, path))
    .toSorted((a, b) => a.timestamp - b.timestamp);
  if (found.length === 0) {
    throw new OperatorError(`There is no file *${ENDING} below ${directory}. Build it again.`);
  }
  for (const [index, { path, timestamp }] of found.entries()) {
    const before = found[index - 1];
    if (before?.timestamp !== timestamp) continue;
    throw new OperatorError(
      `The migrations ${before.path} and ${path} have the same timestamp, ${timestamp}. Give one of them ` +
        'another, so that their order is certain.',
    );
  }
  return found.map(({ type }) => type);
}

function migrationIn(directory: string, path: string): FoundMigration {
  const exported = Object.values(require(join(directory, path)) as Record<string, unknown>);
  const [type] = exported as Type<MigrationInterface>[];
  if (exported.length !== 1 || typeof type !== 'function') {
    throw new OperatorError(`${path} must export one class, its migration, and nothing else.`);
  }
  // TypeORM records a migration by this name.
  const { name } = new type();
  const digits = /\D(\d{13})$/.exec(type.name)?.[1];
  if (digits === undefined || name !== type.name) {
    throw new OperatorError(
      `The migration ${type.name} of ${path} needs a class name that ends in 13 digits, the time in ms ` +
        'since 1970, and that name again as its property `name`.',
    );
  }
  return { path, type, timestamp: Number(digits) };
}
