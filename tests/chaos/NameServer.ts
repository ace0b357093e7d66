/**
 * A name server for the services under test: every name leads to one address, until it is told to
 * fail. Answers have no time to live, so each new connection asks again.
 */
import dgram from "node:dgram";

/**
 * - `well`: every name has the address; no name has one of IPv6.
 * - `failing`: SERVFAIL.
 * - `unknown`: NXDOMAIN, as after somebody deleted the zone.
 * - `silent`: no answer at all.
 */
export type NameServerMode = "well" | "failing" | "unknown" | "silent";

const headerBytes = 12;
const typeA = 1;
const codes = { well: 0, failing: 2, unknown: 3 } as const;

export class NameServer implements AsyncDisposable {
  mode: NameServerMode = "well";
  readonly #socket: dgram.Socket;
  readonly #address: ReadonlyArray<number>;

  private constructor(socket: dgram.Socket, address: string) {
    this.#socket = socket;
    this.#address = address.split(".").map(Number);
    socket.on("message", (query, { address, port }) => {
      if (this.mode === "silent") return;
      socket.send(this.#answer(query, codes[this.mode]), port, address);
    });
  }

  /** Listens on the address, to which all names lead; resolvers ask port 53. */
  static async start(address: string, port = 53): Promise<NameServer> {
    const socket = dgram.createSocket("udp4");
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind(port, address, () => resolve());
    });
    return new NameServer(socket, address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  /** RFC 1035 §4: the question again, and for an A record the address behind it. */
  #answer(query: Uint8Array, code: number): Uint8Array {
    let end = headerBytes;
    while ((query[end] ?? 0) !== 0) end += (query[end] ?? 0) + 1;
    const type = ((query[end + 1] ?? 0) << 8) | (query[end + 2] ?? 0);
    const question = query.subarray(headerBytes, end + 5);
    const records = code === 0 && type === typeA
      // The name by reference, type A, class IN, no time to live, four bytes.
      ? [0xc0, headerBytes, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4, ...this.#address]
      : [];
    return Uint8Array.from([
      ...[query[0] ?? 0, query[1] ?? 0, 0x81, 0x80 | code],
      ...[0, 1, 0, records.length === 0 ? 0 : 1, 0, 0, 0, 0],
      ...question,
      ...records,
    ]);
  }
}
