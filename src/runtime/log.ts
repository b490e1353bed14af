/** The log: Nest's console logger on standard error, at the level of LOG_LEVEL. */
import { ConsoleLogger, type LogLevel } from '@nestjs/common';
import type { Settings } from './settings';

const LEVELS: Record<Settings['LOG_LEVEL'], LogLevel[]> = {
  silent: [],
  error: ['fatal', 'error'],
  warn: ['fatal', 'error', 'warn'],
  info: ['fatal', 'error', 'warn', 'log'],
  debug: ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'],
};

/**
 * Nest's messages about each module and route that it builds, and about errors that stop the start. The
 * process prints those errors itself, so the messages appear at level debug only.
 */
const CHATTER = new Set([
  'ExceptionHandler',
  'InstanceLoader',
  'NestApplication',
  'NestFactory',
  'RouterExplorer',
  'RoutesResolver',
]);

/** Logs to standard error: standard output is for the program's own output. */
export class Log extends ConsoleLogger {
  constructor(private readonly level: Settings['LOG_LEVEL']) {
    super({ logLevels: LEVELS[level], colors: process.stderr.isTTY });
  }

  // Internals: log-of-nest
  protected override printMessages(
    messages: unknown[],
    context?: string,
    logLevel?: LogLevel,
    _stream?: 'stdout' | 'stderr',
    errorStack?: unknown,
    params?: Record<string, unknown>,
  ): void {
    if (CHATTER.has(context ?? '') && this.level !== 'debug') return;
    super.printMessages(messages, context, logLevel, 'stderr', errorStack, params);
  }
}
