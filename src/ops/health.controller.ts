/** `GET /health` tells load balancers whether this process can serve requests. */
import { Controller, Get, Res } from '@nestjs/common';
import { Public } from '../accounts';
import { resultWithin } from '../runtime';
import {
  integer,
  named,
  number,
  object,
  oneOf,
  Operation,
  optional,
  orNull,
  text,
  type TypeOf,
} from '../wire';
import { JobHealthService, type JobHealth } from './job-health.service';

/** Longer than a healthy database takes, shorter than the timeouts of load balancers. */
const DATABASE_TIMEOUT_MS = 2_000;

interface Reply {
  status(code: number): unknown;
}

const jobsSchema = object(
  {
    unfinished: integer('Unfinished keys, running ones included.'),
    abandoned: integer('Unfinished keys without an owner.'),
    recoveryLagSeconds: number(
      'How long the one that has waited longest past its turn has done so.',
    ),
    parked: integer('Keys that recovery has given up.'),
    purgeLagSeconds: number('How long the oldest expired key has been expired.'),
    reportedSecondsAgo: orNull(number('Since the last report of any worker; null without one.')),
  },
  'How far behind the jobs are; only where the database responds.',
);
const healthSchema = named(
  'Health',
  object({
    status: oneOf(['ok', 'unavailable']),
    message: optional(text('What is wrong, in words; only where something is.')),
    jobs: optional(jobsSchema),
  }),
);
export type Health = TypeOf<typeof healthSchema>;

/** Health of this process, for load balancers and supervisors. */
@Public()
@Controller('health')
export class HealthController {
  private probe: Promise<JobHealth | undefined> | undefined;

  constructor(private readonly jobs: JobHealthService) {}

  /** 200 if the database responds within two seconds and the jobs keep up, else 503. Needs no API key. */
  @Operation('Tell whether this process can serve requests now', healthSchema, {
    otherResponses: { 503: healthSchema },
  })
  @Get()
  async health(@Res({ passthrough: true }) reply: Reply): Promise<Health> {
    // One check at a time, so that frequent probes of a slow database do not use up the pool.
    this.probe ??= this.jobs
      .check()
      .catch(() => undefined)
      .finally(() => (this.probe = undefined));
    const health = await resultWithin(DATABASE_TIMEOUT_MS, this.probe);
    if (health?.problems.length === 0) return { status: 'ok', jobs: health.figures };
    reply.status(503);
    return {
      status: 'unavailable',
      message:
        health?.problems.join(' ') ??
        `The database does not answer within ${DATABASE_TIMEOUT_MS / 1000} s.`,
      jobs: health?.figures,
    };
  }
}
