/** The sandbox acquirer in a process of its own: ledger → listen → drain. */
import {
  acquirerServer,
  FileAcquirerLedger,
  Faults,
  type FaultSettings,
} from '../sandbox-acquirer';
import { listenOn, OperatorError, runService, type Settings } from '../runtime';

runService(async (settings, undo) => {
  const faults = new Faults(faultSettings(settings));
  const ledger = await FileAcquirerLedger.open(settings.ACQUIRER_LEDGER);
  undo(() => ledger.close());
  ledger.onFailure((error) => {
    // Nobody knows which orders the file holds now. A new start reads it again.
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  });
  const server = acquirerServer(ledger, faults);
  const { ACQUIRER_HOST: host, ACQUIRER_PORT: port, DRAIN_TIMEOUT_MS } = settings;
  const address = { host, port, settings: { host: 'ACQUIRER_HOST', port: 'ACQUIRER_PORT' } };
  const start = () => server.listen({ host, port });
  const { url, drain } = await listenOn(server.server, start, address, DRAIN_TIMEOUT_MS);
  undo(drain);
  process.stdout.write(`acquirer listens on ${url}, ledger ${ledger.path}\n`);
});

/** @throws OperatorError where more calls are to go wrong than there are */
function faultSettings(settings: Settings): FaultSettings {
  const rates = {
    error_before: settings.ACQUIRER_ERROR_BEFORE_RATE,
    error_after: settings.ACQUIRER_ERROR_AFTER_RATE,
    lose_reply: settings.ACQUIRER_LOSE_REPLY_RATE,
  };
  const sum = Object.values(rates).reduce((all, one) => all + one, 0);
  if (sum > 1) {
    throw new OperatorError(
      `ACQUIRER_LOSE_REPLY_RATE, ACQUIRER_ERROR_BEFORE_RATE and ACQUIRER_ERROR_AFTER_RATE must be 1 together at most, but are ${sum}.`,
    );
  }
  return {
    latencyMs: settings.ACQUIRER_LATENCY_MS,
    latencyMaxMs: settings.ACQUIRER_LATENCY_MAX_MS,
    rates,
    seed: settings.ACQUIRER_SEED,
  };
}
