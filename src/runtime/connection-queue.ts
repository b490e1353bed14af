/**
 * Runs a few requests of each connection at a time; its other requests wait, unread where possible.
 *
 * A client may send requests without waiting for responses (RFC 9112, 9.3.2). Node starts all of them
 * at once, so that one connection can use up the process. When the connection closes, Node closes only the
 * response that it is sending, so that the others would be kept for ever.
 */
import { AsyncResource } from 'node:async_hooks';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** What connections may have at once. */
export interface QueueLimits {
  /** Requests of one connection whose handlers run, or whose responses are not sent yet. */
  readonly maxRunning: number;
  /** Heads of requests of one connection that wait; one more closes it. */
  readonly maxWaiting: number;
  /** Heads of all connections that wait; one more closes the connection with the most of them. */
  readonly maxWaitingInAll: number;
}

/** A request listener that starts `handler` for a bounded number of each connection's requests. */
export function queueByConnection(handler: RequestListener, limits: QueueLimits): RequestListener {
  const heads = new WaitingHeads(limits);
  return (request, response) => {
    const socket = request.socket as QueuedSocket;
    socket[QUEUE] ??= new ConnectionQueue(socket, handler, limits, heads);
    socket[QUEUE].add(request, response);
  };
}

/** Whether a request of this connection has arrived in full and has no response yet. */
export function awaitsResponse(socket: Duplex): boolean {
  return queueOf(socket)?.awaitsResponse ?? false;
}

/** Whether this connection's next bytes are not read because requests of it wait for their turn. */
export function isHeldBack(socket: Duplex): boolean {
  return (queueOf(socket)?.waiting ?? 0) > 0;
}

/** Whether a connection waits for a handler, and not for its client to take what is there. */
export function waitsForHandler(socket: Socket): boolean {
  return queueOf(socket)?.isRunning === true && socket.writableLength === 0;
}

/** Kept on the socket: every collection of garbage would have to look through a WeakMap. */
const QUEUE = Symbol('paidonce:connection-queue');

type QueuedSocket = Socket & { [QUEUE]?: ConnectionQueue };

const queueOf = (socket: Duplex) => (socket as QueuedSocket)[QUEUE];

interface WaitingRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** The heads that wait in the whole process: each takes about 2 KB. */
class WaitingHeads {
  private count = 0;
  private readonly queues = new Set<ConnectionQueue>();

  constructor(private readonly limits: QueueLimits) {}

  add(queue: ConnectionQueue): void {
    this.count += 1;
    this.queues.add(queue);
    if (queue.waiting > this.limits.maxWaiting) queue.close();
    else if (this.count > this.limits.maxWaitingInAll) this.greediest().close();
  }

  remove(queue: ConnectionQueue, count: number): void {
    this.count -= count;
    if (queue.waiting === 0) this.queues.delete(queue);
  }

  private greediest(): ConnectionQueue {
    return [...this.queues].reduce((most, queue) => (queue.waiting > most.waiting ? queue : most));
  }
}

class ConnectionQueue {
  private readonly running = new Map<ServerResponse, IncomingMessage>();
  private readonly waitingRequests: WaitingRequest[] = [];
  /** Where requests arrive: none may run in the async context of the one before it. */
  private arrival?: AsyncResource;

  constructor(
    private readonly socket: QueuedSocket,
    private readonly handler: RequestListener,
    private readonly limits: QueueLimits,
    private readonly heads: WaitingHeads,
  ) {
    socket.once('close', () => this.end());
    // Node resumes reading for each unread body and each response that it buffers. This listener runs
    // before anything is read.
    // Internals: queued-responses
    socket.on('resume', () => {
      if (this.waitingRequests.length > 0) socket.pause();
    });
  }

  /** How many requests wait. */
  get waiting(): number {
    return this.waitingRequests.length;
  }

  get isRunning(): boolean {
    return this.running.size > 0;
  }

  get awaitsResponse(): boolean {
    const requests = [
      ...this.running.values(),
      ...this.waitingRequests.map(({ request }) => request),
    ];
    return requests.some(({ complete }) => complete);
  }

  add(request: IncomingMessage, response: ServerResponse): void {
    // Node's parser goes on to the end of what it has read.
    if (this.socket.destroyed) return closeUnsent(response);
    if (this.waitingRequests.length === 0 && this.running.size < this.limits.maxRunning) {
      return this.start(request, response);
    }
    this.arrival ??= new AsyncResource('ConnectionQueue');
    this.waitingRequests.push({ request, response });
    this.socket.pause();
    this.heads.add(this);
  }

  /** Closes the connection, and at once the responses of waiting requests. */
  close(): void {
    this.socket.destroy();
    this.end();
  }

  private start(request: IncomingMessage, response: ServerResponse): void {
    this.running.set(response, request);
    response.once('close', () => {
      this.running.delete(response);
      // In a turn of its own: other connections come between two requests of this one.
      if (this.waitingRequests.length > 0) setImmediate(() => this.startNext());
    });
    this.handler(request, response);
  }

  private startNext(): void {
    if (this.running.size >= this.limits.maxRunning) return;
    const next = this.waitingRequests.shift();
    if (!next) return;
    this.heads.remove(this, 1);
    // The last one may have a body that is not read yet.
    if (this.waitingRequests.length === 0) this.socket.resume();
    this.arrival?.runInAsyncScope(() => this.start(next.request, next.response));
  }

  /** Closes the responses of all requests, waiting or running, once the connection is closed. */
  private end(): void {
    const waiting = this.waitingRequests.splice(0);
    this.heads.remove(this, waiting.length);
    for (const { response } of waiting) closeUnsent(response);
    for (const response of this.running.keys()) closeUnsent(response);
  }
}

/** Closes a response that will never be sent. Node closes the one that has the socket. */
function closeUnsent(response: ServerResponse): void {
  if (response.socket !== null) return;
  response.destroy();
  process.nextTick(() => {
    // Node 24 and newer have emitted it by now.
    // Internals: queued-responses
    if (!response.closed) response.emit('close');
  });
}
