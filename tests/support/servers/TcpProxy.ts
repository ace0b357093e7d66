/**
 * A loopback proxy in front of a real server that makes real network errors: connections refused,
 * reset, silent, cut in the middle or late. A mode also applies to connections that are open.
 */
import net from "node:net";
import { Effect, type Scope } from "effect";
import { freePort, releasePort } from "../ports.ts";

/**
 * - `pass`: forwards everything.
 * - `refuse`: nothing listens; open connections are reset.
 * - `silent`: accepts and reads, forwards nothing in either direction.
 * - `reset`: resets each connection as soon as it sends something.
 * - `cutAfter`: resets each connection after this many bytes of the server's answers.
 * - `delay`: holds what the server answers for this many milliseconds.
 * - `garbage`: puts random bytes in the place of what the server answers.
 */
export type ProxyMode =
  | "pass"
  | "refuse"
  | "silent"
  | "reset"
  | "garbage"
  | { readonly cutAfter: number }
  | { readonly delay: number };

/** Where connections are forwarded to. */
export interface ProxyTarget {
  readonly port: number;
  readonly hostname?: string;
}

/** A proxy of one test. */
export class TcpProxy {
  readonly port: number;
  /** The address that it listens on. */
  readonly hostname: string;
  /** Connections accepted since the start. */
  accepted = 0;
  readonly #target: ProxyTarget;
  readonly #pairs = new Set<Pair>();
  #server: net.Server | undefined;
  #mode: ProxyMode = "pass";

  private constructor(port: number, hostname: string, target: ProxyTarget) {
    this.port = port;
    this.hostname = hostname;
    this.#target = target;
  }

  /** Starts a proxy in mode `pass`, on loopback unless another address of this machine is given. */
  static async start(target: ProxyTarget, hostname = "127.0.0.1"): Promise<TcpProxy> {
    const proxy = new TcpProxy(freePort(), hostname, target);
    await proxy.#listen();
    return proxy;
  }

  /** The same as `start`, stopped with the scope. */
  static scoped(target: ProxyTarget): Effect.Effect<TcpProxy, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.promise(() => TcpProxy.start(target)),
      (proxy) => Effect.promise(() => proxy.stop()),
    );
  }

  /** The number of open connections. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** A URL of the target, leading through this proxy. */
  url(target: string): string {
    return target.replace(`:${this.#target.port}`, `:${this.port}`);
  }

  /** Changes what happens to new and to open connections. */
  async mode(mode: ProxyMode): Promise<void> {
    this.#mode = mode;
    if (mode === "refuse") return await this.#close();
    if (this.#server === undefined) await this.#listen();
  }

  /** Resets the open connections; new ones are served as the mode says. */
  async drop(): Promise<void> {
    await Promise.all(Array.from(this.#pairs, (pair) => pair.destroy()));
  }

  /** Sends bytes to every client that the server never said. */
  inject(bytes: Uint8Array | string): void {
    for (const pair of this.#pairs) pair.inject(bytes);
  }

  /** Ends the proxy and its connections; its port is given back. */
  async stop(): Promise<void> {
    await this.#close();
    releasePort(this.port);
  }

  async #listen(): Promise<void> {
    const server = net.createServer((client) => this.#accept(client));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.port, this.hostname, () => resolve());
    });
  }

  async #close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = new Promise<void>((resolve) => {
      if (server === undefined) resolve();
      else server.close(() => resolve());
    });
    await this.drop();
    await closed;
  }

  #accept(client: net.Socket): void {
    this.accepted++;
    const upstream = net.connect(this.#target.port, this.#target.hostname ?? "127.0.0.1");
    const pair = new Pair(client, upstream, () => this.#mode);
    this.#pairs.add(pair);
    pair.closed.then(() => this.#pairs.delete(pair));
  }
}

/** One connection: the client's socket and the one to the server. */
class Pair {
  /** Settles when both sockets are closed. */
  readonly closed: Promise<unknown>;
  readonly #client: net.Socket;
  readonly #upstream: net.Socket;
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #answered = 0;

  constructor(client: net.Socket, upstream: net.Socket, mode: () => ProxyMode) {
    this.#client = client;
    this.#upstream = upstream;
    client.setNoDelay(true);
    upstream.setNoDelay(true);
    this.closed = Promise.all([client, upstream].map((socket) =>
      new Promise<void>((resolve) => {
        // An error is always followed by close, which ends the other side too.
        socket.on("error", () => {});
        socket.once("close", () => {
          void this.destroy();
          resolve();
        });
      })
    ));
    client.on("data", (chunk: Uint8Array) => {
      if (mode() === "reset") void this.destroy();
      else if (mode() !== "silent") upstream.write(chunk);
    });
    upstream.on("data", (chunk: Uint8Array) => this.#answer(chunk, mode()));
    client.once("end", () => mode() !== "silent" && upstream.end());
    upstream.once("end", () => mode() !== "silent" && this.#later(mode(), () => client.end()));
  }

  /** Resets both sides. */
  async destroy(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    if (!this.#client.destroyed) this.#client.resetAndDestroy();
    if (!this.#upstream.destroyed) this.#upstream.destroy();
    await this.closed;
  }

  inject(bytes: Uint8Array | string): void {
    this.#client.write(bytes);
  }

  #answer(chunk: Uint8Array, mode: ProxyMode): void {
    if (mode === "silent") return;
    if (mode === "garbage") {
      this.#client.write(crypto.getRandomValues(new Uint8Array(chunk.length)));
      return;
    }
    if (typeof mode === "object" && "cutAfter" in mode) {
      const room = mode.cutAfter - this.#answered;
      this.#answered += chunk.length;
      if (chunk.length < room) this.#client.write(chunk);
      else this.#client.write(chunk.subarray(0, Math.max(0, room)), () => void this.destroy());
      return;
    }
    this.#later(mode, () => this.#client.write(chunk));
  }

  #later(mode: ProxyMode, action: () => void): void {
    if (typeof mode !== "object" || !("delay" in mode)) return action();
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, mode.delay);
    this.#timers.add(timer);
  }
}
