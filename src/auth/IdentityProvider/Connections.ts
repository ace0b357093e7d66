/**
 * Connections to token endpoints, kept for the next request, each bound to an address that was
 * checked when it was made.
 *
 * A read is always under way, also on a connection that waits: the moment the endpoint closes it or
 * sends what nobody asked for, it is gone from the pool. Timers are real, like the sockets they end.
 * Nothing here is sent twice.
 */
import { Data } from "effect";
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { objection, type Target } from "./OutboundAddress.ts";
import { shakeHands } from "./TlsHandshake.ts";

/** The host's name resolved to an address that must not be connected to. */
export class AddressRefused extends Data.TaggedError("AddressRefused")<{
  readonly reason: string;
}> {}

/** Finds all addresses of a host name; rejects with the resolver's own error. */
export type Resolve = (hostname: string) => Promise<ReadonlyArray<string>>;

/** The system's resolver: its own order, hosts file included. */
export const systemResolve: Resolve = async (hostname) =>
  (await lookup(hostname, { all: true })).map(({ address }) => address);

/** Milliseconds a connection may wait: less than the time after which networks forget it. */
const maxIdle = 30_000;

/** Milliseconds a connection is used at most, so that a name that moves is noticed. */
const maxAge = 300_000;

/** Most connections that wait, over all endpoints, unless told otherwise. */
const defaultMaxWaiting = 512;

/** Milliseconds after which the next address of a name is tried beside those before (RFC 8305). */
const headStart = 250;

/** One connection, used by one request at a time. */
export class Connection {
  readonly #conn: Deno.TcpConn | Deno.TlsConn;
  readonly #buffer = new Uint8Array(16_384);
  #reading: Promise<Uint8Array | null> | undefined;
  #isClosed = false;

  constructor(conn: Deno.TcpConn | Deno.TlsConn, readonly key: string, readonly madeAt: number) {
    this.#conn = conn;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Writes all bytes. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await this.#conn.write(rest));
  }

  /** The next bytes, valid until the next call, or `null` at the end. */
  async read(): Promise<Uint8Array | null> {
    const reading = this.#reading ?? this.#read();
    this.#reading = undefined;
    return await reading;
  }

  /** Reads ahead while nobody uses the connection; calls back when it can no longer be used. */
  watch(onGone: () => void): void {
    const reading = this.#read();
    this.#reading = reading;
    reading.then(onGone, onGone);
  }

  async #read(): Promise<Uint8Array | null> {
    const count = await this.#conn.read(this.#buffer);
    return count === null ? null : this.#buffer.subarray(0, count);
  }

  /** Ends whatever is under way on it. Closing twice does nothing. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#conn.close();
  }
}

interface Waiting {
  readonly connection: Connection;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** Whom connections lead to, and whom they trust. */
export interface Options {
  readonly resolve: Resolve;
  /** PEM certificates trusted beside the well-known ones. */
  readonly authorities: ReadonlyArray<string>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Most connections that wait, over all endpoints [512]. */
  readonly maxWaiting?: number;
}

const keyOf = ({ isTls, host, port }: Target): string =>
  `${isTls ? "https" : "http"}://${host}:${port}`;

/** Makes, keeps and ends connections. */
export class Connections {
  readonly #waiting = new Set<Waiting>();
  #isClosed = false;

  constructor(readonly options: Options) {}

  /** A connection that waits, the last used first, or a new one. Aborting ends the making of it. */
  async take(target: Target, signal: AbortSignal): Promise<Connection> {
    const key = keyOf(target);
    const oldest = this.options.now() - maxAge;
    for (const waiting of Array.from(this.#waiting).reverse()) {
      if (waiting.connection.key !== key) continue;
      this.#forget(waiting);
      if (!waiting.connection.isClosed && waiting.connection.madeAt > oldest) {
        return waiting.connection;
      }
      waiting.connection.close();
    }
    return await this.#open(target, key, signal);
  }

  /** Makes a connection and ends it again, only to see whether that can be done. */
  async reach(target: Target, signal: AbortSignal): Promise<void> {
    const { host, port, isTls } = target;
    const plain = await this.#connect(target, signal);
    const { hostname: address } = plain.remoteAddr;
    plain.close();
    if (!isTls) return;
    await shakeHands({ address, port, host, authorities: this.options.authorities }, signal);
  }

  /** Keeps a connection for the next request, for as long as the endpoint says at most. */
  give(connection: Connection, keepMillis = maxIdle): void {
    const { maxWaiting = defaultMaxWaiting } = this.options;
    if (this.#isClosed || this.#waiting.size >= maxWaiting) return connection.close();
    const waiting: Waiting = {
      connection,
      timer: setTimeout(() => {
        this.#forget(waiting);
        connection.close();
      }, Math.min(keepMillis, maxIdle)),
    };
    this.#waiting.add(waiting);
    connection.watch(() => {
      // Also called for the first bytes of the next answer, when it does not wait any more.
      if (!this.#forget(waiting)) return;
      connection.close();
    });
  }

  /** Ends all that wait; those in use are ended by their users. */
  close(): void {
    this.#isClosed = true;
    for (const waiting of this.#waiting) {
      this.#forget(waiting);
      waiting.connection.close();
    }
  }

  #forget(waiting: Waiting): boolean {
    clearTimeout(waiting.timer);
    return this.#waiting.delete(waiting);
  }

  /** Connects to one of the host's addresses, if none of them is objected to. */
  async #connect(target: Target, signal: AbortSignal): Promise<Deno.TcpConn> {
    const { host, port } = target;
    const addresses = isIP(host) === 0 ? await this.options.resolve(host) : [host];
    const reason = objection(target, addresses);
    if (reason !== undefined) throw new AddressRefused({ reason });
    return await connectFirst(addresses, port, signal);
  }

  async #open(target: Target, key: string, signal: AbortSignal): Promise<Connection> {
    const { host, isTls } = target;
    const plain = await this.#connect(target, signal);
    plain.setNoDelay(true);
    if (!isTls) return new Connection(plain, key, this.options.now());
    // Takes no time: the handshake comes after it.
    const secure = await Deno.startTls(plain, {
      hostname: host,
      caCerts: [...this.options.authorities],
      alpnProtocols: ["http/1.1"],
    }).catch((error: unknown) => {
      // A name that no certificate can be for, say one that begins with a hyphen.
      plain.close();
      throw error;
    });
    const connection = new Connection(secure, key, this.options.now());
    const close = () => connection.close();
    signal.addEventListener("abort", close, { once: true });
    try {
      signal.throwIfAborted();
      await secure.handshake();
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    } finally {
      signal.removeEventListener("abort", close);
    }
  }
}

/**
 * The first of the addresses to answer; each next one is tried after a failure or a head start. No
 * try outlives the call: an address that swallows everything would hold on to each for minutes.
 */
const connectFirst = (
  addresses: ReadonlyArray<string>,
  port: number,
  signal: AbortSignal,
): Promise<Deno.TcpConn> =>
  new Promise((resolve, reject) => {
    const trying = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isSettled = false;
    let started = 0;
    let failed = 0;
    const settle = (act: () => void) => {
      isSettled = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      act();
      // Ends those that are under way; a connection that stands is left alone by it.
      trying.abort();
    };
    const abort = () => settle(() => reject(signal.reason));
    const next = () => {
      clearTimeout(timer);
      const hostname = addresses[started];
      if (isSettled || hostname === undefined) return;
      started += 1;
      timer = setTimeout(next, headStart);
      Deno.connect({ hostname, port, signal: trying.signal }).then((conn) => {
        if (isSettled) conn.close();
        else settle(() => resolve(conn));
      }, (error: unknown) => {
        failed += 1;
        if (isSettled) return;
        if (failed === addresses.length) settle(() => reject(error));
        else if (failed === started) next();
      });
    };
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    if (addresses.length === 0) return settle(() => reject(new Error("No address")));
    next();
  });
