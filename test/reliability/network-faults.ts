/** Network faults, injected into the connections of a proxy. */
import { setTimeout as pause } from 'node:timers/promises';
import type { TcpProxy } from '../support/tcp-proxy';

export const NETWORK_FAULTS = ['delay', 'drip', 'reset', 'half-open', 'black hole'] as const;
export type NetworkFault = (typeof NETWORK_FAULTS)[number];

/** How long a connection is slow, ms. */
const SLOW_MS = 2_000;

/**
 * Breaks the network and repairs it. Half-open connections stay half open: only new ones work.
 *
 * @param holeMs how long a black hole lasts
 */
export async function inject(fault: NetworkFault, proxy: TcpProxy, holeMs: number): Promise<void> {
  switch (fault) {
    case 'delay':
      proxy.delayMs = 200;
      await pause(SLOW_MS);
      break;
    case 'drip':
      proxy.dripMs = 2;
      await pause(SLOW_MS);
      break;
    case 'reset':
      for (let times = 0; times < 5; times += 1) {
        proxy.reset();
        await pause(200);
      }
      break;
    case 'half-open':
      proxy.halfOpen();
      break;
    case 'black hole':
      proxy.blackHole();
      await pause(holeMs);
      break;
  }
  proxy.heal();
}
