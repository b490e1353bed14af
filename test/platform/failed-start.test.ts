/** A process that cannot start says what is wrong in one sentence. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { freshDatabase } from '../support/database';
import { Program } from '../support/server';
import { cleanUpAfterwards, dataDir, home, postmasterPid } from './programs.fixture';

cleanUpAfterwards();

describe('a start that cannot succeed is one sentence and exit code 1', () => {
  async function refusal(env: Record<string, string>): Promise<string> {
    const program = Program.start('main', { env: { PORT: '0', ...env } });
    expect(await program.ended).toEqual({ code: 1, signal: null });
    expect(program.stderr).not.toMatch(/^\s+at /m);
    expect(program.stdout).toBe('');
    return program.stderr;
  }

  it('wrong settings: a sentence for each', async () => {
    expect(await refusal({ PORT: '70000', LOG_LEVEL: 'loud', DATABASE_URL: 'mysql://x' })).toBe(
      'DATABASE_URL must be a URL like postgres://user:password@host:5432/database.\n' +
        'PORT must be a whole number from 0 to 65535, but is "70000".\n' +
        'LOG_LEVEL must be one of silent, error, warn, info, debug, but is "loud".\n',
    );
  });

  it('a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const database = await freshDatabase();
    expect(await refusal({ PORT: String(port), DATABASE_URL: database.url })).toBe(
      `Port ${port} on 127.0.0.1 is taken by another program: stop that one, or set PORT to another port (0 takes a free one).\n`,
    );
    await database.drop();
    other.close();
  });

  it('a port that is taken leaves no PostgreSQL behind', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    expect(await refusal({ PORT: String(port), DATA_DIR: dataDir })).toContain('is taken');
    expect(() => postmasterPid()).toThrow('ENOENT');
    other.close();
  });

  it('a database that is not there', async () => {
    const url = 'postgres://shop:secret@127.0.0.1:1/shop';
    expect(await refusal({ DATABASE_URL: url })).toBe(
      'The database 127.0.0.1:1/shop of DATABASE_URL cannot be used: connect ECONNREFUSED 127.0.0.1:1.\n',
    );
  });

  it('a wrong password, which is not repeated', async () => {
    const url = new URL(process.env.TEST_DATABASE_URL ?? '');
    url.password = 'not-the-secret';
    const sentence = await refusal({ DATABASE_URL: url.href });
    expect(sentence).toContain('password authentication failed for user "postgres"');
    expect(sentence).not.toContain('not-the-secret');
  });

  it('a database that does not respond within DATABASE_CONNECT_TIMEOUT_MS', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const url = `postgres://shop@127.0.0.1:${port}/shop`;
    expect(await refusal({ DATABASE_URL: url, DATABASE_CONNECT_TIMEOUT_MS: '200' })).toMatch(
      /^The database 127\.0\.0\.1:\d+\/shop of DATABASE_URL cannot be used: .*timeout.*\.\n$/,
    );
    silent.close();
  });

  it('a data directory that is none', async () => {
    const file = join(home, 'file');
    writeFileSync(file, '');
    expect(await refusal({ DATA_DIR: file })).toMatch(
      /^The embedded PostgreSQL cannot use .*file: EEXIST: .*\.\n$/,
    );
  });
});
