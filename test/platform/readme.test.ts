/** What README.md shows works as it stands there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileFunction } from 'node:vm';
import Stripe from 'stripe';
import { parse } from 'yaml';
import { startApp } from '../support/app';

const text = (name: string) => readFileSync(join(__dirname, '..', '..', name), 'utf8');
const readme = text('README.md');

/** The code blocks of a language, in order. */
const blocks = (language: string): string[] =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))].map(
    ([, code = '']) => code.trim(),
  );

describe('the README', () => {
  it('shows the two commands and the first request, in that order', () => {
    const [start, test, request = ''] = blocks('sh');
    expect([start, test]).toEqual(['npm ci && npm start', 'npm ci && npm test']);
    const printed = /^ *`  (curl .*)`,$/m.exec(text('src/main.ts'))?.[1] ?? '';
    const filled = printed
      .replace('${url}', 'http://127.0.0.1:3000')
      .replace('${sandbox.key}', 'sk_test_…');
    expect(request).toBe(filled);
  });

  it('has an SDK example that runs as it stands', async () => {
    const app = await startApp();
    try {
      const code = (blocks('ts')[0] ?? '')
        .replace(/^import .*$/m, '')
        .replace('sk_test_…', app.apiKey)
        .replace('port: 3000', `port: ${app.port}`);
      const body = `return (async () => {${code}; return payment.id; })()`;
      const run = compileFunction(body, ['Stripe']) as (sdk: typeof Stripe) => Promise<string>;
      const payment = await run(Stripe);
      const { data } = await app.stripe().refunds.list({ payment_intent: payment });
      expect(data).toMatchObject([{ amount: 2000, status: 'succeeded' }]);
    } finally {
      await app.close();
    }
  });

  it('names files that exist', () => {
    for (const [, file = ''] of readme.matchAll(/\]\((?!http)([^)#]+)\)/g)) {
      expect(() => readFileSync(join(__dirname, '..', '..', file))).not.toThrow('ENOENT');
    }
  });

  it('names the versions of Node that CI tests and that the package asks for; the image has one', () => {
    const [, versions = ''] = /^Node ([\d., or]+) on Linux or macOS;/m.exec(readme) ?? [];
    const named = versions.split(/, | or /);
    expect(named.length).toBeGreaterThan(3);
    const workflow = parse(text('.github/workflows/ci.yml')) as {
      jobs: { ci: { strategy: { matrix: { node: string[] } } } };
    };
    expect(workflow.jobs.ci.strategy.matrix.node).toEqual(named);
    const { engines } = JSON.parse(text('package.json')) as { engines: { node: string } };
    const majors = named.map((version) => version.split('.', 1)[0]);
    expect([...engines.node.matchAll(/\^(\d+)/g)].map(([, major]) => major)).toEqual(majors);
    const images = [...text('Dockerfile').matchAll(/^FROM node:(\d+)-/gm)].map(
      ([, major]) => major,
    );
    expect(images.length).toBeGreaterThan(0);
    expect(majors).toEqual(expect.arrayContaining(images));
  });

  it('has the test command that CI runs', () => {
    expect(text('.ci/run')).toMatch(/^npm ci && npm test( |$)/m);
    const workflow = parse(text('.github/workflows/ci.yml')) as {
      jobs: { ci: { steps: { run?: string }[] } };
    };
    expect(workflow.jobs.ci.steps.at(-1)).toEqual({ run: '.ci/run' });
  });
});
