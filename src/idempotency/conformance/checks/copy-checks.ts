/** Checks of what becomes of copies: replays, reused keys, copies at once and copies of what is in flight. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Reply } from '../probe/bounded-request';
import {
  type Check,
  differenceOf,
  isSameResponse,
  judge,
  notTried,
  sketch,
  type CheckVerdict,
  wrongEffects,
} from './check';
import { isSuccess, type Probe } from '../probe/probe';

/** A copy that got the first one's response less than this after it was sent may just have come late, in ms. */
const LATE_MS = 100;
/** The longest wait that a server must accept (R8), in s. */
const MAX_PREFERRED_SECONDS = 30;

/** What all other checks build on: where this fails, they are not tried. */
export const firstRequest: Check = {
  name: 'first-request',
  rules: 'R5, draft 2.6',
  run: async (probe) => {
    const { reply, effects } = await probe.watch({ key: probe.newKey() });
    return judge(`${reply.status}, and one effect`, [
      !isSuccess(reply) && `the first request got ${sketch(reply)}`,
      isSuccess(reply) && effects === undefined && 'its effect cannot be told from its response',
      wrongEffects(1, effects),
    ]);
  },
};

export const copyChecks: readonly Check[] = [
  {
    name: 'two-keys',
    rules: 'R5, draft 2.2',
    run: async (probe) => {
      const first = await probe.watch({ key: probe.newKey() });
      const second = await probe.watch({ key: probe.newKey() });
      return judge('the same request with two keys had two effects', [
        !isSuccess(first.reply) && `the first got ${sketch(first.reply)}`,
        !isSuccess(second.reply) && `the second got ${sketch(second.reply)}`,
        wrongEffects(1, first.effects),
        wrongEffects(1, second.effects),
      ]);
    },
  },
  {
    name: 'replay',
    rules: 'R6, R15, draft 2.6',
    run: async (probe) => {
      const key = probe.newKey();
      const first = await probe.send({ key });
      const { reply: copy, effects } = await probe.watch({ key });
      return judge(
        `the copy got the same ${copy.status} and ${copy.body.length} bytes, without a second effect`,
        [differenceOf(first, copy), wrongEffects(0, effects)],
      );
    },
  },
  {
    name: 'replay-header',
    rules: 'R17',
    profiles: ['paidonce', 'stripe'],
    run: async (probe) => {
      const { first, copy } = await firstAndCopy(probe);
      return judge('the copy alone has Idempotent-Replayed: true', [
        copy.headers['idempotent-replayed'] !== 'true' &&
          'the copy lacks Idempotent-Replayed: true',
        first.headers['idempotent-replayed'] === 'true' && 'the first says that it is a replay',
      ]);
    },
  },
  {
    name: 'request-ids',
    rules: 'R17',
    profiles: ['paidonce', 'stripe'],
    run: async (probe) => {
      const { first, copy } = await firstAndCopy(probe);
      const [id, copyId] = [first.headers['request-id'], copy.headers['request-id']];
      const original = copy.headers['original-request'];
      return judge('each has its own Request-Id, and Original-Request names the first', [
        (!id || !copyId) && 'a response lacks Request-Id',
        id !== undefined && id === copyId && 'both have the same Request-Id',
        original !== id && `Original-Request of the copy is ${original}, the first was ${id}`,
      ]);
    },
  },
  {
    name: 'reused-key',
    rules: 'R7, draft 2.7',
    run: async (probe) => {
      const key = probe.newKey();
      await probe.send({ key });
      const { reply } = await probe.watchRefusal({ key, body: probe.config.otherBody });
      const expected = probe.config.reusedStatus ?? probe.profile.reused;
      return judge(`another body under the same key got ${reply.status}`, [
        !expected.includes(reply.status) &&
          `another body under the same key got ${sketch(reply)}, not ${expected.join(' or ')}`,
      ]);
    },
  },
  {
    name: 'copies-at-once',
    rules: 'R4, R8, draft 2.6',
    run: async (probe) => {
      const { copies } = probe.config;
      const key = probe.newKey();
      const { replies, effects } = await probe.watchAll(copies, { key });
      const after = await probe.send({ key });
      const done = replies.filter(isSuccess);
      const other = replies.find((reply) => !isSuccess(reply) && reply.status !== 409);
      return judge(
        `of ${copies} copies at once ${done.length} got one response and ${copies - done.length} got 409, with one effect`,
        [
          done.length === 0 && 'none succeeded',
          other !== undefined && `one got ${sketch(other)}`,
          !done.every((reply) => isSameResponse(reply, done[0]!)) && 'they got different responses',
          done[0] !== undefined &&
            !isSameResponse(done[0], after) &&
            'a later copy got another one',
          wrongEffects(1, effects),
        ],
      );
    },
  },
  {
    name: 'copy-in-flight',
    rules: 'R8, draft 2.6, 2.7',
    run: async (probe) => {
      const flight = await duringTheFirst(probe);
      if ('result' in flight) return flight;
      const { first, copy, endedAfterMs } = flight;
      if (copy.status >= 400) probe.refusals.push({ reply: copy, effects: undefined });
      const isSame = isSameResponse(first, copy);
      if (isSame && endedAfterMs < LATE_MS) return notTried('The slow request ended too soon.');
      const waited = `the copy waited ${Math.round(endedAfterMs)} ms for the response of the first`;
      return judge('a copy of the request in flight got 409', [
        copy.status !== 409 && (isSame ? waited : `the copy got ${sketch(copy)}`),
        copy.status === 409 &&
          probe.profile.saysWhenToRetry &&
          copy.headers['retry-after'] === undefined &&
          'the 409 lacks Retry-After',
      ]);
    },
  },
  {
    name: 'copy-waits',
    rules: 'R8',
    profiles: ['paidonce'],
    run: async (probe) => {
      const seconds = Math.min(MAX_PREFERRED_SECONDS, Math.ceil(probe.config.timeoutMs / 1_000));
      const flight = await duringTheFirst(probe, { prefer: `wait=${seconds}` });
      if ('result' in flight) return flight;
      const { first, copy, endedAfterMs } = flight;
      if (endedAfterMs < LATE_MS) return notTried('The slow request ended too soon.');
      return judge(`the copy waited ${Math.round(endedAfterMs)} ms and got the same response`, [
        differenceOf(first, copy),
      ]);
    },
  },
];

async function firstAndCopy(
  probe: Probe,
): Promise<{ readonly first: Reply; readonly copy: Reply }> {
  const key = probe.newKey();
  return { first: await probe.send({ key }), copy: await probe.send({ key }) };
}

interface Flight {
  readonly first: Reply;
  readonly copy: Reply;
  /** When the first one's response came, counted from the sending of the copy, in ms. */
  readonly endedAfterMs: number;
}

/** Sends the slow request, and a copy of it while it runs. */
async function duringTheFirst(
  probe: Probe,
  headers?: Readonly<Record<string, string>>,
): Promise<Flight | CheckVerdict> {
  const { slow } = probe.config;
  if (!slow) return notTried('The config names no `slow` request.');
  const request = { key: probe.newKey(), route: slow };
  let endedAt: number | undefined;
  const running = probe.send(request).then((reply) => {
    endedAt = performance.now();
    return reply;
  });
  await Promise.race([running, delay(slow.afterMs)]);
  if (endedAt !== undefined) {
    return notTried(`The slow request ended within ${slow.afterMs} ms: ${sketch(await running)}.`);
  }
  const sentAt = performance.now();
  const [first, copy] = await Promise.all([running, probe.send({ ...request, headers })]);
  return { first, copy, endedAfterMs: (endedAt ?? sentAt) - sentAt };
}
