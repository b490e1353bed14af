/** Ledger files, and the faults of an acquirer, for the tests of the sandbox acquirer and its gateways. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AcquirerLedgerLine, Faults, type FaultSettings } from '../../src/sandbox-acquirer';

/** The whole lines of a ledger. */
export function ledgerLines(path: string): AcquirerLedgerLine[] {
  const whole = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return whole.map((line) => JSON.parse(line) as AcquirerLedgerLine);
}

export const faultsOf = (faults: Partial<FaultSettings> = {}): Faults =>
  new Faults({ ...noFaults, ...faults });

const noFaults = {
  latencyMs: 0,
  latencyMaxMs: 0,
  rates: { error_before: 0, error_after: 0, lose_reply: 0 },
  seed: 1,
};

/** A directory that the test removes. */
export function temporaryDirectory() {
  const path = mkdtempSync(join(tmpdir(), 'paidonce-ledger-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
