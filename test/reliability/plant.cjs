/**
 * Fail points and planted bugs, preloaded into a server under test. `NODE_OPTIONS=--require=<this file>` wraps the
 * compiled classes of src/idempotency. The product has no switch for any of this.
 *
 * FAILPOINT=after_claim|after_remote|before_finish|after_finish
 *   The process kills itself with SIGKILL the first time it gets there. `before_finish` and
 *   `after_finish` are before and after the commit that stores the response, of atomic and of phased
 *   operations. `after_claim` follows the commit of the first local phase, or, of an atomic operation, the
 *   start of its transaction. `after_remote` is between the result of the remote call and its record.
 * FAILPOINT_SIGNAL=SIGSTOP
 *   It freezes there instead, once, until it receives SIGCONT.
 * PLANTED_BUG=no_fence|remote_key_per_attempt|lease_ignored|response_after_commit|
 *   no_statement_patience|waits_for_redis|jobs_declared_once|own_clock, or, in the acquirer, ledger_lags
 */
'use strict';
const { connect } = require('node:net');
const { load, program, wrap } = require('../support/planting.cjs');

const { FAILPOINT, FAILPOINT_SIGNAL = 'SIGKILL', PLANTED_BUG } = process.env;
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
  // The signal may take a moment to arrive; nothing may happen until then.
  const forever = frozenBefore ? 100 : Infinity;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, forever);
}

function failAt(point, store, phases) {
  switch (point) {
    case 'after_claim':
      wrap(store, 'claim', after);
      wrap(
        store,
        'open',
        (original) =>
          async function (...args) {
            const opened = await original.apply(this, args);
            // Phased operations continue to their claim; FAILPOINT_KIND says which kind it is.
            if (process.env.FAILPOINT_KIND === 'atomic' && opened.locked && !opened.row) die();
            return opened;
          },
      );
      break;
    case 'after_remote':
      wrap(
        phases,
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
      wrap(store, 'finishNew', before);
      wrap(store, 'finish', before);
      break;
    case 'after_finish':
      wrap(store, 'finishNew', after);
      wrap(store, 'finish', after);
      break;
    default:
      throw new Error(`plant: unknown fail point ${point}`);
  }
}

function plant(bug, store, phases) {
  switch (bug) {
    // An attempt that was taken over writes as if it still owned the key.
    case 'no_fence': {
      const asOwner = (original) =>
        async function (tx, claim) {
          const { row } = await this.read(claim.id).catch(() => ({ row: undefined }));
          return original.call(this, tx, { ...claim, fence: row ?? claim.fence });
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
        phases,
        'remote',
        (original) =>
          function (name, call, options) {
            // The remote key is made of the name.
            const { attempt } = this.start.life.fence;
            return original.call(this, `${name} ${attempt}`, call, options);
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
            if (!row || row.storedResponse || !locked) return opened;
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
    // The effect is committed first, the response afterwards, in a second transaction.
    case 'response_after_commit': {
      const pause = () => new Promise((resolve) => setTimeout(resolve, 50));
      wrap(
        store,
        'finishNew',
        () =>
          async function (tx, key) {
            await tx.commit();
            await pause();
            if (FAILPOINT === 'before_finish') die();
            return this.finishAlone(key);
          },
      );
      wrap(
        store,
        'finish',
        (original) =>
          async function (tx, claim) {
            await tx.commit();
            await pause();
            return original.call(this, await this.begin(), claim);
          },
      );
      break;
    }
    // A statement has no timeout.
    case 'no_statement_patience':
      wrap(
        require('pg').Client.prototype,
        'query',
        (original) =>
          function (config, ...rest) {
            this.connectionParameters.query_timeout = 0;
            if (typeof config === 'object') delete config.query_timeout;
            return original.call(this, config, ...rest);
          },
      );
      break;
    // This process's clock decides whether a key has expired.
    case 'own_clock':
      wrap(
        store,
        'open',
        (original) =>
          async function (id) {
            const opened = await original.call(this, id);
            const { row, transaction } = opened;
            if (!row) return opened;
            const [{ expires }] = await transaction.run(() =>
              this.dataSource.query(
                'SELECT expires_at AS expires FROM idempotency_keys WHERE account = $1 AND mode = $2 AND key = $3',
                [id.account, id.mode, id.key],
              ),
            );
            const expired = row.storedResponse !== undefined && expires.getTime() <= Date.now();
            return { ...opened, row: { ...row, expired } };
          },
      );
      break;
    // Every request asks Redis first.
    case 'waits_for_redis':
      wrap(
        store,
        'open',
        (original) =>
          async function (id) {
            await pingRedis(new URL(process.env.REDIS_URL));
            return original.call(this, id);
          },
      );
      break;
    case 'jobs_declared_once':
      wrap(
        load('jobs', 'jobs-schedule.js').JobsSchedule.prototype,
        'keepDeclared',
        (original) =>
          async function (first) {
            if (first) await original.call(this, first);
          },
      );
      break;
    // The acquirer replies before its ledger has the line.
    case 'ledger_lags':
      break;
    default:
      throw new Error(`plant: unknown bug ${bug}`);
  }
}

function pingRedis({ port, hostname }) {
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => socket.write('PING\r\n'));
    const over = () => resolve(socket.destroy());
    socket.once('data', over).once('error', over).once('close', over);
  });
}

/** How late a line of the ledger is written, ms. */
const LAG_MS = 300;

function plantInAcquirer(bug) {
  if (bug !== 'ledger_lags') return;
  wrap(
    load('sandbox-acquirer', 'append-only-file.js').AppendOnlyFile.prototype,
    'append',
    (original) =>
      function (line) {
        setTimeout(() => original.call(this, line).catch(() => undefined), LAG_MS);
        return Promise.resolve();
      },
  );
}

if (/(main|worker)\.js$/.test(program) && (FAILPOINT || PLANTED_BUG)) {
  require('reflect-metadata');
  const store = load('idempotency', 'store', 'postgres', 'postgres-key.store.js').PostgresKeyStore
    .prototype;
  const phases = load('idempotency', 'attempts', 'phase-runner.js').PhaseRunner.prototype;
  if (FAILPOINT) failAt(FAILPOINT, store, phases);
  if (PLANTED_BUG) plant(PLANTED_BUG, store, phases);
}
if (program.endsWith('acquirer.js')) plantInAcquirer(PLANTED_BUG);
