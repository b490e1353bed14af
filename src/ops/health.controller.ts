import { Controller, Get, Res } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { Public } from '../accounts';
import { databaseAnswers } from './health.store';

/** Longer than any answer of a healthy database, shorter than any prober's patience. */
const DEADLINE_MS = 2_000;

interface Reply {
  status(code: number): unknown;
}

export interface Health {
  readonly status: 'ok' | 'unavailable';
  /** What is wrong, in words; only where something is. */
  readonly message?: string;
}

/** Whether this process can serve requests now: for load balancers and supervisors. */
@Public()
@Controller('health')
export class HealthController {
  private probe: Promise<boolean> | undefined;

  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  /** 200 if the database answers within two seconds, else 503. Needs no API key. */
  @Get()
  async health(@Res({ passthrough: true }) reply: Reply): Promise<Health> {
    // Shared, so that frequent probes of a stuck database do not use up the pool.
    this.probe ??= databaseAnswers(this.dataSource).finally(() => (this.probe = undefined));
    if (await within(DEADLINE_MS, this.probe)) return { status: 'ok' };
    reply.status(503);
    return {
      status: 'unavailable',
      message: `The database does not answer within ${DEADLINE_MS / 1000} s.`,
    };
  }
}

async function within(deadlineMs: number, answer: Promise<boolean>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, deadlineMs, false);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
