/** The server of `npm start` from instrumented sources. On a message, it traces the next request. */
import { subscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import Module from 'node:module';
import { join, relative, sep } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { transformSync } from '@swc/core';
import type { TracedFunction } from './instrument';
import { Recorder } from './recorder';

const ROOT = join(__dirname, '..', '..');
const SRC = join(ROOT, 'src');

/** Before a trace starts, no function has run for this long, ms: no earlier request is in flight. */
const QUIET_MS = 200;

/** To trace.ts: `ready` to trace the next request, then the functions that it ran. */
export type ServerMessage = 'ready' | { readonly steps: readonly TracedFunction[] };

interface Compiling extends NodeJS.Module {
  _compile(code: string, filename: string): void;
}
type Extensions = Record<string, (module: Compiling, filename: string) => void>;

const recorder = new Recorder();

/** Compiles src with the settings of `npm start`, instrumented. */
function instrumentSources(): void {
  const extensions = (Module as unknown as { _extensions: Extensions })._extensions;
  const compileOther = extensions['.ts']!;
  extensions['.ts'] = (module, filename) => {
    const file = relative(ROOT, filename).split(sep).join('/');
    if (!file.startsWith('src/')) return compileOther(module, filename);
    const text = recorder.instrument(file, readFileSync(filename, 'utf8'));
    const { code } = transformSync(text, {
      filename,
      configFile: join(ROOT, '.swcrc'),
      sourceMaps: 'inline',
    });
    module._compile(code, filename);
  };
  recorder.install();
}

function tell(message: ServerMessage): void {
  process.send?.(message);
}

async function startTrace(): Promise<void> {
  for (let before = -1; before !== recorder.calls;) {
    before = recorder.calls;
    await pause(QUIET_MS);
  }
  recorder.start();
  tell('ready');
}

instrumentSources();
process.on('message', () => void startTrace());
// trace.ts has ended: stop as on Ctrl-C.
process.on('disconnect', () => process.kill(process.pid, 'SIGINT'));
// Node publishes this before it runs the listeners of the response's `finish`.
subscribe('http.server.response.finish', () => {
  const steps = recorder.stop();
  if (steps.length > 0) tell({ steps });
});
require(join(SRC, 'main.ts'));
