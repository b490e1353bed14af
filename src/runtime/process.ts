/**
 * The life of a process of ours: settings, start, wait to be asked to stop, undo what was started.
 */
import { keepRequestsYoung } from './heap';
import { OperatorError } from './operator-error';
import { loadSettings, type Settings } from './settings';

/** Registers what undoes the step just done. Run in reverse order, after a failed start too. */
export type Undo = (step: () => Promise<unknown>) => void;

/**
 * Runs until SIGINT or SIGTERM, then undoes what was started and ends with code 0. What cannot
 * start or fails is one clear sentence on standard error and code 1.
 */
export function runService(start: (settings: Settings, undo: Undo) => Promise<void>): void {
  // Ctrl-C reaches a process started by npm twice; the second one asks for nothing new.
  const askedToStop = new Promise<void>((resolve) => {
    process.on('SIGINT', resolve);
    process.on('SIGTERM', resolve);
  });
  void run(async (settings, undo) => {
    await start(settings, undo);
    await askedToStop;
  });
}

/** Runs one task to its end, with the same words for failures. */
export function runTask(task: (settings: Settings, undo: Undo) => Promise<void>): void {
  void run(task);
}

async function run(body: (settings: Settings, undo: Undo) => Promise<void>): Promise<void> {
  keepRequestsYoung();
  const steps: (() => Promise<unknown>)[] = [];
  let code = 0;
  try {
    await body(loadSettings(), (step) => steps.unshift(step));
  } catch (error) {
    code = 1;
    process.stderr.write(`${inWords(error)}\n`);
  }
  for (const step of steps) {
    await step().catch((error: unknown) => {
      code = 1;
      process.stderr.write(`${inWords(error)}\n`);
    });
  }
  process.exit(code);
}

function inWords(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof OperatorError) return error.message;
  // Not foreseen, so where it came from is the only clue there is.
  return `paidonce stopped: ${error.stack ?? error.message}`;
}
