/**
 * `npm run openapi [DIRECTORY]`: writes what is made from the code and committed, into the project or
 * into another directory.
 */
import 'reflect-metadata';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { AppModule } from '../../src/app.module';
import { buildDocument } from '../../src/openapi/document';
import { loadSettings } from '../../src/runtime/settings';
import { errorReference } from './error-reference';

const ROOT = join(__dirname, '..', '..');

async function generate(directory: string): Promise<void> {
  // A preview has every controller and connects to nothing.
  const app = await NestFactory.create(AppModule.with(loadSettings({})), new FastifyAdapter(), {
    preview: true,
    logger: false,
    abortOnError: false,
  });
  const document = join(directory, 'docs', 'openapi.json');
  const types = join(directory, 'src', 'client', 'openapi.types.ts');
  for (const file of [document, types]) mkdirSync(dirname(file), { recursive: true });
  writeFileSync(document, `${JSON.stringify(buildDocument(app), null, 2)}\n`);
  writeFileSync(join(directory, 'docs', 'ERRORS.md'), await errorReference());
  // It also refuses a document that is not OpenAPI.
  const cli = join(ROOT, 'node_modules', 'openapi-typescript', 'bin', 'cli.js');
  const args = [document, '--output', types, '--root-types', '--root-types-no-schema-prefix'];
  const { status, stderr } = spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

void generate(process.argv[2] ?? ROOT);
