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
 * What Nest says of each module and route while it builds them, and of errors that stop the start,
 * which the process tells in its own words: of use only to somebody who debugs the start.
 */
const CHATTER = new Set([
  'ExceptionHandler',
  'InstanceLoader',
  'NestApplication',
  'NestFactory',
  'RouterExplorer',
  'RoutesResolver',
]);

/** Logs to standard error: standard output is for what a person started the program to see. */
export class Log extends ConsoleLogger {
  constructor(private readonly level: Settings['LOG_LEVEL']) {
    super({ logLevels: LEVELS[level], colors: process.stderr.isTTY });
  }

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
