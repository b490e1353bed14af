/**
 * Copies of one request while the first is with an acquirer that has no memory: every call that
 * reaches it is a charge. Nothing crashes, so the lease alone must keep the copies away (R11).
 */
import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inWorld, type Run, type Scenario, type Told } from './scenario';
import type { World } from './world';

const COPIES = 30;

export const duplicates: Scenario = {
  name: 'duplicates',
  about: `${COPIES} copies of each request over two processes, and an acquirer that remembers no key`,
  run: (run) => {
    // A call that is given up is repeated, which such an acquirer takes for another.
    const options = { acquirer: { latencyMs: 400 }, remoteDeadlineMs: 30_000 };
    return inWorld(run, options, (world) => crowd(world, run));
  },
};

async function crowd(world: World, { bug, long, say }: Run): Promise<Told> {
  const far = await forgetful(world.acquirerUrl);
  try {
    const ways = { acquirerUrl: far.url };
    const servers = await Promise.all([world.startDoomed({}, ways), world.startDoomed({}, ways)]);
    const keys = bug ? 1 : long ? 50 : 5;
    for (let key = 1; key <= keys; key += 1) {
      const wish = world.clients.payment();
      await Promise.all(
        Array.from({ length: COPIES }, (_, copy) => {
          const server = servers[copy % servers.length]?.url ?? '';
          return world.clients.insist(wish, {
            server,
            allMs: world.patienceMs,
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

/** Stands before the acquirer and gives every call a remote key of its own. */
async function forgetful(target: string): Promise<{ url: string; server: Server }> {
  let calls = 0;
  const server = createServer((incoming, outgoing) => {
    calls += 1;
    const path = (incoming.url ?? '').replace(/(\/operations\/[^/?]+)/, `$1-${calls}`);
    const { method, headers } = incoming;
    const passed = request(`${target}${path}`, { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    incoming.pipe(passed);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}
