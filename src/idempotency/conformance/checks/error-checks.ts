/** Checks of errors: outcomes that are stored or not, and what refusals look like. */
import type { Reply } from '../probe/bounded-request';
import { type Check, differenceOf, judge, notTried, sketch, wrongEffects } from './check';
import { isSuccess, type Probe, valueAt } from '../probe/probe';

/** The last of all, since they look at what the others got. */
export const errorChecks: readonly Check[] = [
  {
    name: 'refusal-replayed',
    rules: 'R13, draft 2.6',
    run: async (probe) => {
      const { refused: route } = probe.config;
      if (!route) return notTried('The config names no `refused` request.');
      const key = probe.newKey();
      const first = await probe.send({ key, route });
      if (first.status < 400 || first.status > 499) {
        return notTried(`The request that should be refused got ${first.status}.`);
      }
      const { reply: copy, effects } = await probe.watch({ key, route });
      return judge(`the copy got the same ${copy.status}`, [
        differenceOf(first, copy),
        wrongEffects(0, effects),
        probe.profile.marksReplays &&
          copy.headers['idempotent-replayed'] !== 'true' &&
          'the copy lacks Idempotent-Replayed: true, so it may have run again',
      ]);
    },
  },
  {
    name: 'invalid-not-stored',
    rules: 'R14',
    profiles: ['paidonce', 'stripe'],
    run: async (probe) => {
      const { invalid: route } = probe.config;
      if (!route) return notTried('The config names no `invalid` request.');
      const key = probe.newKey();
      const first = await probe.send({ key, route });
      if (first.status < 400 || first.status > 499) {
        return notTried(`The request that should be invalid got ${first.status}.`);
      }
      const { reply, effects } = await probe.watch({ key });
      return judge(`after ${first.status} a valid request with the same key had an effect`, [
        !isSuccess(reply) && `after ${first.status} a valid request got ${sketch(reply)}`,
        wrongEffects(1, effects),
      ]);
    },
  },
  {
    name: 'refused-without-effect',
    rules: 'R1, R2, R7',
    run: (probe) => {
      const seen = probe.refusals.filter(({ effects }) => effects !== undefined);
      const guilty = seen.find(({ effects }) => effects !== 0);
      if (seen.length === 0) {
        return Promise.resolve(
          notTried(
            probe.config.effects.count
              ? 'Nothing was refused.'
              : 'Only `effects.count` shows what a refused request did.',
          ),
        );
      }
      return Promise.resolve(
        judge(`none of ${seen.length} refused requests had an effect`, [
          guilty !== undefined && `a request that got ${sketch(guilty.reply)} had an effect`,
        ]),
      );
    },
  },
  {
    name: 'error-body',
    rules: 'PROTOCOL: Errors, draft 2.7',
    run: overRefusals((probe, reply) => {
      if (probe.profile.errors === 'envelope') {
        const isRight = isText(reply, '/error/type') && isText(reply, '/error/message');
        return isRight ? undefined : 'no { error: { type, message } }';
      }
      if (probe.profile.name === 'draft' && reply.headers['link'] !== undefined) return undefined;
      if (!reply.headers['content-type']?.startsWith('application/problem+json')) {
        return `the content type ${reply.headers['content-type']}, not application/problem+json`;
      }
      // RFC 9457: a missing type is about:blank.
      if (!isText(reply, '/title')) return 'a problem without a title';
      const isCoded = probe.profile.name !== 'paidonce' || isText(reply, '/code');
      return isCoded ? undefined : 'a problem without a code';
    }),
  },
  {
    name: 'error-link',
    rules: 'R24, draft 2.7',
    run: async (probe) => {
      const { linkIsOptional } = probe.profile;
      const hasLinks = probe.refusals.some(({ reply }) => linkOf(probe, reply) !== undefined);
      if (linkIsOptional && !hasLinks) return notTried('No error leads to a page about it.');
      return overRefusals((_, reply) =>
        linkOf(probe, reply) === undefined ? 'no link to a page about it' : undefined,
      )(probe);
    },
  },
];

/** A check of each refusal so far; `fault` says what it has instead of what it should. */
function overRefusals(fault: (probe: Probe, reply: Reply) => string | undefined): Check['run'] {
  return (probe) => {
    const { refusals } = probe;
    if (refusals.length === 0) return Promise.resolve(notTried('Nothing was refused.'));
    const faults = refusals.flatMap(({ reply }) => {
      const found = fault(probe, reply);
      return found === undefined ? [] : [`${reply.status} has ${found}`];
    });
    return Promise.resolve(
      judge(`all ${refusals.length} refusals are right`, [...new Set(faults)]),
    );
  };
}

function linkOf({ profile }: Probe, reply: Reply): string | undefined {
  const pointer = profile.errors === 'envelope' ? '/error/doc_url' : '/type';
  const link = valueAt(reply.body, pointer);
  if (typeof link === 'string' && link !== 'about:blank') return link;
  return reply.headers['link'];
}

function isText(reply: Reply, pointer: string): boolean {
  const value = valueAt(reply.body, pointer);
  return typeof value === 'string' && value !== '';
}
