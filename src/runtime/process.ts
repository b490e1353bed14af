/** The life of a process: read settings, start, wait for a signal, undo the steps of the start. */
import { disablePretenuring } from './heap';
import { OperatorError } from './operator-error';
import { loadSettings, type Settings } from './settings';

/** Registers what undoes the step before it. Undone in reverse order, after a failed start too. */
export type Undo = (step: () => Promise<unknown>) => void;

/**
 * Runs until SIGINT or SIGTERM, then undoes the steps of the start and exits with code 0. A failure is
 * printed as one sentence on standard error, and the code is 1.
 */
export function runService(start: (settings: Settings, undo: Undo) => Promise<void>): void {
  // A process that npm started gets the signal of Ctrl-C twice; the second one changes nothing.
  const askedToStop = new Promise<void>((resolve) => {
    process.on('SIGINT', resolve);
    process.on('SIGTERM', resolve);
  });
  void run(async (settings, undo) => {
    await start(settings, undo);
    await askedToStop;
  });
}

/** Runs one task and exits: code 0, or 1 and one sentence on standard error. */
export function runTask(task: (settings: Settings, undo: Undo) => Promise<void>): void {
  void run(task);
}

async function run(body: (settings: Settings, undo: Undo) => Promise<void>): Promise<void> {
  disablePretenuring();
  const steps: (() => Promise<unknown>)[] = [];
  let code = 0;
  try {
    await body(loadSettings(), (step) => steps.unshift(step));
  } catch (error) {
    code = 1;
    process.stderr.write(`${describeFailure(error)}\n`);
  }
  for (const step of steps) {
    await step().catch((error: unknown) => {
      code = 1;
      process.stderr.write(`${describeFailure(error)}\n`);
    });
  }
  process.exit(code);
}

function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof OperatorError) return error.message;
  // Unexpected: the stack says where it came from.
  return `paidonce stopped: ${error.stack ?? error.message}`;
}
