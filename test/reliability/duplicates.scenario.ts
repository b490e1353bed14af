/**
 * Copies of a request while the first is with an acquirer that remembers no key: every call is a charge. Nothing
 * crashes, so the lease alone must keep the copies away (R11).
 */
import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inTestbed, type Run, type Scenario, type ScenarioResult } from './scenario';
import type { Testbed } from './testbed';

const COPIES = 30;

export const duplicates: Scenario = {
  name: 'duplicates',
  about: `${COPIES} copies of each request over two processes, and an acquirer that remembers no key`,
  run: (run) => {
    // A call that times out is repeated, which would be a second charge.
    const options = { acquirer: { latencyMs: 400 }, remoteDeadlineMs: 30_000 };
    return inTestbed(run, options, (testbed) => crowd(testbed, run));
  },
};

async function crowd(testbed: Testbed, { bug, long, say }: Run): Promise<ScenarioResult> {
  const far = await forgetful(testbed.acquirerUrl);
  try {
    const addresses = { acquirerUrl: far.url };
    const servers = await Promise.all([
      testbed.startFailingServer({}, addresses),
      testbed.startFailingServer({}, addresses),
    ]);
    const keys = bug ? 1 : long ? 50 : 5;
    for (let key = 1; key <= keys; key += 1) {
      const intended = testbed.clients.payment();
      await Promise.all(
        Array.from({ length: COPIES }, (_, copy) => {
          const server = servers[copy % servers.length]?.url ?? '';
          return testbed.clients.retryUntilFinal(intended, {
            server,
            allMs: testbed.patienceMs,
            headers: { prefer: 'wait=5' },
          });
        }),
      );
      say(`${key} of ${keys} keys`);
    }
    await Promise.all(servers.map((server) => server.kill9()));
    return { faults: keys * (COPIES - 1) };
  } finally {
    far.server.close();
    far.server.closeAllConnections();
  }
}

/** Starts a proxy before the acquirer that gives every call another remote key. */
async function forgetful(target: string): Promise<{ url: string; server: Server }> {
  let calls = 0;
  const server = createServer((incoming, outgoing) => {
    calls += 1;
    const path = (incoming.url ?? '').replace(/(\/operations\/[^/?]+)/, `$1-${calls}`);
    const { method, headers } = incoming;
    const passed = request(`${target}${path}`, { method, headers }, (res) => {
      outgoing.writeHead(res.statusCode ?? 502, res.headers);
      res.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    incoming.pipe(passed);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}
