/**
 * Fail points and planted bugs, from outside: preloaded into a server under test with
 * `NODE_OPTIONS=--require=<this file>`, it wraps the compiled classes of src/idempotency. The product
 * itself has no switch for any of this, so no build of it can reach one.
 *
 * FAILPOINT=after_claim|after_remote|before_finish|after_finish
 *   The process kills itself with SIGKILL the first time it gets there. `before_finish` and
 *   `after_finish` are on both sides of the commit that stores the answer, of atomic and of phased
 *   operations; `after_claim` is the commit of the first local phase, or, of an atomic operation, the
 *   moment its transaction is open; `after_remote` is between the far side's answer and its record.
 * FAILPOINT_SIGNAL=SIGSTOP
 *   It freezes there instead, once, until it is sent SIGCONT.
 * PLANTED_BUG=no_fence|remote_key_per_attempt|lease_ignored|response_after_commit
 */
'use strict';
const path = require('node:path');

const { FAILPOINT, FAILPOINT_SIGNAL = 'SIGKILL', PLANTED_BUG } = process.env;
/** Puts `around(original)` in the place of a method; a name that is gone is an error, not a no-op. */
function wrap(prototype, name, around) {
  const original = prototype[name];
  if (typeof original !== 'function') throw new Error(`plant: there is no method ${name} any more`);
  prototype[name] = around(original);
}

const before = (original) =>
  function (...args) {
    die();
    return original.apply(this, args);
  };
const after = (original) =>
  async function (...args) {
    const result = await original.apply(this, args);
    die();
    return result;
  };

let frozenBefore = false;

function die() {
  if (frozenBefore) return;
  frozenBefore = FAILPOINT_SIGNAL === 'SIGSTOP';
  process.kill(process.pid, FAILPOINT_SIGNAL);
  // The signal may take a moment to arrive; nothing more may happen until then.
  const forever = frozenBefore ? 100 : Infinity;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, forever);
}

function failAt(point, store, phased) {
  switch (point) {
    case 'after_claim':
      wrap(store, 'claim', after);
      wrap(
        store,
        'open',
        (original) =>
          async function (...args) {
            const opened = await original.apply(this, args);
            // Phased operations go on to their claim; the caller tells which kind it is.
            if (process.env.FAILPOINT_KIND === 'atomic' && opened.locked && !opened.row) die();
            return opened;
          },
      );
      break;
    case 'after_remote':
      wrap(
        phased,
        'remote',
        (original) =>
          async function (name, call, options) {
            const dying = async (...args) => {
              const result = await call(...args);
              die();
              return result;
            };
            return original.call(this, name, dying, options);
          },
      );
      break;
    case 'before_finish':
      wrap(store, 'complete', before);
      wrap(store, 'finish', before);
      break;
    case 'after_finish':
      wrap(store, 'complete', after);
      wrap(store, 'finish', after);
      break;
    default:
      throw new Error(`plant: there is no fail point ${point}`);
  }
}

function plant(bug, store, phased) {
  switch (bug) {
    // An attempt that was taken over writes as if the key were still its own.
    case 'no_fence': {
      const asOwner = (original) =>
        async function (tx, id, fence, ...rest) {
          const { row } = await this.read(id).catch(() => ({ row: undefined }));
          return original.call(this, tx, id, row ?? fence, ...rest);
        };
      wrap(
        store,
        'resume',
        () =>
          function () {
            return this.begin();
          },
      );
      wrap(store, 'advance', asOwner);
      wrap(store, 'finish', asOwner);
      break;
    }
    case 'remote_key_per_attempt':
      wrap(
        phased,
        'remoteKey',
        (original) =>
          function (name) {
            return original.call(this, `${name} ${this.fence.attempt}`);
          },
      );
      break;
    // A live owner is taken over as if its lease had expired.
    case 'lease_ignored':
      wrap(
        store,
        'open',
        (original) =>
          async function (id) {
            const opened = await original.call(this, id);
            const { row, locked, transaction } = opened;
            if (!row || row.answer || !locked) return opened;
            await transaction.run(() =>
              this.dataSource.query(
                'UPDATE idempotency_keys SET lease_until = now() WHERE account = $1 AND mode = $2 AND key = $3',
                [id.account, id.mode, id.key],
              ),
            );
            return { ...opened, row: { ...row, leaseExpired: true } };
          },
      );
      break;
    // The effect is committed first, the answer afterwards, on its own.
    case 'response_after_commit': {
      const pause = () => new Promise((resolve) => setTimeout(resolve, 50));
      wrap(
        store,
        'complete',
        () =>
          async function (tx, id, fence, request, answer) {
            await tx.commit();
            await pause();
            if (FAILPOINT === 'before_finish') die();
            return this.completeAlone(id, fence, request, answer);
          },
      );
      wrap(
        store,
        'finish',
        (original) =>
          async function (tx, id, fence, ...rest) {
            await tx.commit();
            await pause();
            return original.call(this, await this.begin(), id, fence, ...rest);
          },
      );
      break;
    }
    default:
      throw new Error(`plant: there is no bug ${bug}`);
  }
}

const program = process.argv[1];
if (program && /(main|worker)\.js$/.test(program) && (FAILPOINT || PLANTED_BUG)) {
  require('reflect-metadata');
  const load = (file) => require(path.join(path.dirname(program), 'idempotency', file));
  const store = load('postgres-key.store.js').PostgresKeyStore.prototype;
  const phased = load('phases.js').PhasedAttempt.prototype;
  if (FAILPOINT) failAt(FAILPOINT, store, phased);
  if (PLANTED_BUG) plant(PLANTED_BUG, store, phased);
}
