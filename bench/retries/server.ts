/** The simulated server: a number of workers behind a queue, which can freeze and die. */

export interface ServerOptions {
  /** Requests worked on at the same time. */
  readonly workers: number;
  /** What one request takes a worker, ms. */
  readonly serviceMs: number;
  /** Requests that may wait for a worker; beyond it the response is 503. */
  readonly queue: number;
  /** From the client to the server and back, ms; a refused connection takes as long. */
  readonly roundTripMs: number;
}

type State = 'up' | 'frozen' | 'dead';

interface PendingRequest {
  readonly resolve: (response: Response) => void;
  readonly reject: (error: unknown) => void;
  /** The client has hung up. Nobody tells the server: it works all the same. */
  gone: boolean;
}

/**
 * Requests are served in the order in which they came. A client that gave up leaves its request in the
 * queue, as behind most load balancers: working it off is wasted.
 */
export class SimulatedServer {
  #state: State = 'up';
  #waiting: PendingRequest[] = [];
  #working = new Set<PendingRequest>();
  /** Finished by the clock while the server was frozen. */
  #stalled: PendingRequest[] = [];
  /** Requests worked off after their client had gone. */
  wasted = 0;

  /** @param onArrival is called for each request, also for those that a dead server refuses */
  constructor(
    private readonly options: ServerOptions,
    private readonly onArrival: () => void,
  ) {}

  /** What the clients under test send with. */
  readonly fetch: typeof fetch = (input, init) => {
    const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined);
    return new Promise<Response>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      this.onArrival();
      const pending: PendingRequest = { resolve, reject, gone: false };
      signal?.addEventListener('abort', () => {
        pending.gone = true;
        reject(signal.reason);
      });
      this.#take(pending);
    });
  };

  /** From now on the server takes connections and sends no responses. */
  freeze(): void {
    this.#state = 'frozen';
  }

  /** Every connection breaks; new ones are refused. */
  die(): void {
    this.#state = 'dead';
    const broken = [...this.#working, ...this.#waiting];
    this.#working.clear();
    this.#waiting = [];
    this.#stalled = [];
    for (const { reject } of broken) reject(failed('ECONNRESET'));
  }

  /** Serves: after a freeze first what has waited. */
  start(): void {
    this.#state = 'up';
    for (const pending of this.#stalled.splice(0)) this.#finish(pending);
    this.#work();
  }

  #take(pending: PendingRequest): void {
    if (this.#state === 'dead') {
      setTimeout(() => pending.reject(failed('ECONNREFUSED')), this.options.roundTripMs);
    } else if (this.#waiting.length >= this.options.queue) {
      setTimeout(() => pending.resolve(responseOf(503)), this.options.roundTripMs);
    } else {
      this.#waiting.push(pending);
      if (this.#state === 'up') this.#work();
    }
  }

  #work(): void {
    while (this.#working.size < this.options.workers) {
      const pending = this.#waiting.shift();
      if (!pending) return;
      this.#working.add(pending);
      setTimeout(() => this.#finish(pending), this.options.serviceMs);
    }
  }

  #finish(pending: PendingRequest): void {
    if (!this.#working.has(pending)) return; // it died with the server
    if (this.#state === 'frozen') {
      this.#stalled.push(pending);
      return;
    }
    this.#working.delete(pending);
    if (pending.gone) this.wasted += 1;
    else setTimeout(() => pending.resolve(responseOf(200)), this.options.roundTripMs);
    this.#work();
  }
}

/** A response without a body: the simulation makes many, and reads none. */
function responseOf(status: number): Response {
  return new Response(null, { status });
}

/** As `fetch` says it on Node. */
function failed(code: string): TypeError {
  return new TypeError('fetch failed', { cause: Object.assign(new Error(code), { code }) });
}
