/** One connection to a token endpoint, used by one request at a time. */
import type { TLSSocket } from "node:tls";

/** Bytes to and fro. */
export interface Wire {
  /** The next bytes, valid until the next call, or `null` at the end. */
  readonly read: () => Promise<Uint8Array | null>;
  /** Writes all bytes. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** Ends whatever is under way. */
  readonly close: () => void;
}

export const plainWire = (conn: Deno.TcpConn): Wire => {
  const buffer = new Uint8Array(16_384);
  return {
    read: async () => {
      const count = await conn.read(buffer);
      return count === null ? null : buffer.subarray(0, count);
    },
    write: async (bytes) => {
      for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await conn.write(rest));
    },
    close: () => conn.close(),
  };
};

export const tlsWire = (socket: TLSSocket): Wire => {
  const chunks: AsyncIterator<Uint8Array, undefined> = socket[Symbol.asyncIterator]();
  return {
    read: async () => {
      const { done, value } = await chunks.next();
      return done === true ? null : value;
    },
    write: (bytes) =>
      new Promise((resolve, reject) =>
        void socket.write(bytes, (error) => error ? reject(error) : resolve())
      ),
    close: () => void socket.destroy(),
  };
};

export class Connection {
  readonly #wire: Wire;
  #reading: Promise<Uint8Array | null> | undefined;
  #isClosed = false;

  constructor(wire: Wire, readonly key: string, readonly madeAt: number) {
    this.#wire = wire;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#wire.write(bytes);
  }

  /** The next bytes, valid until the next call, or `null` at the end. */
  async read(): Promise<Uint8Array | null> {
    const reading = this.#reading ?? this.#wire.read();
    this.#reading = undefined;
    return await reading;
  }

  /** Reads ahead while nobody uses the connection; calls back when it can no longer be used. */
  watch(onGone: () => void): void {
    const reading = this.#wire.read();
    this.#reading = reading;
    reading.then(onGone, onGone);
  }

  /** Ends whatever is under way on it. Closing twice does nothing. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#wire.close();
  }
}
