/**
 * Connections to token endpoints, kept for the next request, each bound to an address that was
 * checked when it was made.
 *
 * A read is always under way, also on a connection that waits: the moment the endpoint closes it or
 * sends what nobody asked for, it is gone from the pool. Timers are real, like the sockets they end.
 * Nothing here is sent twice, and whatever is given up is closed at once.
 */
import { Data } from "effect";
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { Connection, plainWire, tlsWire } from "./Connection.ts";
import { dialFirst, plain } from "./Dialling.ts";
import { objection, type Target } from "./OutboundAddress.ts";
import { tlsTo } from "./TlsDialler.ts";

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
    (await this.#open(target, keyOf(target), signal)).close();
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

  /** The host's addresses, if none of them is objected to. */
  async #addressesOf(target: Target): Promise<ReadonlyArray<string>> {
    const { host } = target;
    const addresses = isIP(host) === 0 ? await this.options.resolve(host) : [host];
    const reason = objection(target, addresses);
    if (reason !== undefined) throw new AddressRefused({ reason });
    return addresses;
  }

  async #open(target: Target, key: string, signal: AbortSignal): Promise<Connection> {
    const { host, port, isTls } = target;
    const { authorities, now } = this.options;
    const addresses = await this.#addressesOf(target);
    if (!isTls) {
      const conn = await dialFirst(plain, addresses, port, signal);
      conn.setNoDelay(true);
      return new Connection(plainWire(conn), key, now());
    }
    const socket = await dialFirst(tlsTo({ host, authorities }), addresses, port, signal);
    socket.setNoDelay(true);
    return new Connection(tlsWire(socket), key, now());
  }
}
