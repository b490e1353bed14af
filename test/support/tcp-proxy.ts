/**
 * A TCP proxy in front of PostgreSQL, or of any other server, that can fail as networks do: cut, reset,
 * swallow, delay, drip, leave connections half open, and lose what belongs to one COMMIT. It reads just
 * enough of PostgreSQL's protocol to see a COMMIT and its reply.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/**
 * What happens to the next COMMIT:
 * - `lose`: it never reaches the server, and the connection breaks;
 * - `lose its reply`: the server executes it, and the connection breaks before the client gets the reply;
 * - `deliver late`: the client's connection breaks, and only later the server gets it and executes it;
 * - `black hole`: it reaches the server, and from then on nothing comes or goes, nor breaks.
 */
export type CommitOutcome = 'lose' | 'lose its reply' | 'deliver late' | 'black hole';

/** How late is late, ms: more than a client needs to ask what became of its COMMIT. */
const LATE_MS = 400;

/** The text of a COMMIT, and the tag in the server's reply end alike. */
const COMMIT = Buffer.from('COMMIT\0');

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  /** What is held up on its way, in order; unset when nothing is. */
  toServer?: Promise<void>;
  toClient?: Promise<void>;
  /** Nothing passes any more. */
  swallowed: boolean;
  /** The server's reply to COMMIT is to be lost. */
  losing: boolean;
}

export class TcpProxy {
  /** Delay of what goes to the server, ms. */
  delayMs = 0;
  /** Pause after each byte that goes to the client, ms. */
  dripMs = 0;
  /** New connections are turned away. */
  refusing = false;
  #nextCommit?: CommitOutcome;
  #blackHole = false;
  readonly #links = new Set<Link>();
  /** Clients that have no server any more and have not noticed. */
  readonly #orphans = new Set<Socket>();

  private constructor(
    /** The target's URL, by way of this proxy. */
    readonly url: string,
    private readonly server: Server,
    private readonly target: { readonly host: string; readonly port: number },
  ) {}

  /** @param url of the server behind it, with a port or of a PostgreSQL */
  static async to(url: string): Promise<TcpProxy> {
    const through = new URL(url);
    const target = { host: through.hostname, port: Number(through.port || 5432) };
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    through.hostname = '127.0.0.1';
    through.port = String((server.address() as AddressInfo).port);
    const proxy = new TcpProxy(through.href, server, target);
    server.on('connection', (client) => proxy.join(client));
    return proxy;
  }

  /** Decides what happens to the next COMMIT that passes; once. */
  onNextCommit(outcome: CommitOutcome): void {
    this.#nextCommit = outcome;
  }

  /** Whether the COMMIT that was waited for has come. */
  get commitSeen(): boolean {
    return this.#nextCommit === undefined;
  }

  /** Breaks every connection. */
  cut(): void {
    for (const link of this.#links) this.break(link);
  }

  /** Breaks every connection with a reset in place of an end. */
  reset(): void {
    for (const link of this.#links) {
      this.#links.delete(link);
      link.client.resetAndDestroy();
      link.server.resetAndDestroy();
    }
  }

  /** From now on nothing comes or goes, and nothing breaks: new connections are taken and ignored. */
  blackHole(): void {
    this.#blackHole = true;
    for (const link of this.#links) link.swallowed = true;
  }

  /**
   * The server's end of every connection is gone, and its client gets no sign of it: what it sends is
   * lost, nothing arrives, and the connection stays open, also after `heal`. New connections work at once.
   */
  halfOpen(): void {
    for (const link of this.#links) {
      this.#links.delete(link);
      link.swallowed = true;
      link.server.removeAllListeners('close').destroy();
      this.#orphans.add(link.client);
      link.client.once('close', () => this.#orphans.delete(link.client));
    }
  }

  /** New connections work again; those that were swallowed break. */
  heal(): void {
    this.#blackHole = false;
    this.refusing = false;
    this.delayMs = 0;
    this.dripMs = 0;
    this.#nextCommit = undefined;
    for (const link of this.#links) if (link.swallowed) this.break(link);
  }

  async close(): Promise<void> {
    this.cut();
    for (const client of this.#orphans) client.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private join(client: Socket): void {
    if (this.refusing) {
      client.destroy();
      return;
    }
    const server = connect(this.target.port, this.target.host);
    const link: Link = { client, server, swallowed: this.#blackHole, losing: false };
    this.#links.add(link);
    client.on('data', (data) => this.toServer(link, data));
    server.on('data', (data) => this.toClient(link, data));
    for (const socket of [client, server]) {
      socket.on('error', () => undefined); // breaking is what this is for
      socket.on('close', () => {
        if (!link.swallowed || socket === client) this.break(link);
      });
    }
  }

  private toServer(link: Link, data: Buffer): void {
    if (link.swallowed) return;
    if (this.#nextCommit && data.includes(COMMIT)) {
      const outcome = this.#nextCommit;
      this.#nextCommit = undefined;
      if (outcome === 'lose') return this.break(link);
      if (outcome === 'deliver late') return this.deliverLate(link, data);
      if (outcome === 'lose its reply') link.losing = true;
      else this.blackHole();
    }
    if (this.delayMs === 0 && !link.toServer) return void link.server.write(data);
    const due = performance.now() + this.delayMs;
    const turn = (link.toServer ?? Promise.resolve()).then(async () => {
      await pause(Math.max(0, due - performance.now()));
      if (!link.swallowed) link.server.write(data);
      if (link.toServer === turn) link.toServer = undefined;
    });
    link.toServer = turn;
  }

  private deliverLate(link: Link, data: Buffer): void {
    this.#links.delete(link);
    link.swallowed = true;
    link.server.removeAllListeners('close');
    link.client.removeAllListeners('close').destroy();
    setTimeout(() => link.server.end(data), LATE_MS);
  }

  private toClient(link: Link, data: Buffer): void {
    if (link.swallowed) return;
    if (link.losing) {
      if (data.includes(COMMIT)) this.break(link);
      return;
    }
    if (this.dripMs === 0 && !link.toClient) return void link.client.write(data);
    const turn = (link.toClient ?? Promise.resolve()).then(async () => {
      await this.drip(link, data);
      if (link.toClient === turn) link.toClient = undefined;
    });
    link.toClient = turn;
  }

  private async drip(link: Link, data: Buffer): Promise<void> {
    let sent = 0;
    for (; sent < data.length && this.dripMs > 0 && !link.client.destroyed; sent += 1) {
      link.client.write(data.subarray(sent, sent + 1));
      await pause(this.dripMs);
    }
    if (!link.swallowed) link.client.write(data.subarray(sent));
  }

  private break(link: Link): void {
    this.#links.delete(link);
    link.client.destroy();
    link.server.destroy();
  }
}
