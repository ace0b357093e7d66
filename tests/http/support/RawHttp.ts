/** HTTP/1.1 by hand, for what `fetch` refuses to send or does not show. */

const encoder = new TextEncoder();

/** One response as it came. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** One connection. */
export class RawConnection implements Disposable {
  #buffer = "";

  private constructor(readonly conn: Deno.TcpConn) {}

  static async open(port: number): Promise<RawConnection> {
    return new RawConnection(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  async send(text: string): Promise<void> {
    const bytes = encoder.encode(text);
    for (let sent = 0; sent < bytes.length;) sent += await this.conn.write(bytes.subarray(sent));
  }

  /** The next response; with `head` none of its body. Rejects when the connection ends before. */
  async receive({ head = false } = {}): Promise<RawAnswer> {
    while (!this.#buffer.includes("\r\n\r\n")) await this.#more();
    const [top = "", ...rest] = this.#buffer.split("\r\n\r\n");
    const [statusLine = "", ...lines] = top.split("\r\n");
    const headers = new Headers(lines.map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    }));
    this.#buffer = rest.join("\r\n\r\n");
    const length = head ? 0 : Number(headers.get("content-length") ?? 0);
    while (this.#buffer.length < length) await this.#more();
    const body = this.#buffer.slice(0, length);
    this.#buffer = this.#buffer.slice(length);
    return { status: Number(statusLine.split(" ")[1]), headers, body };
  }

  /** True when the other side closes without sending anything more. */
  async ends(): Promise<boolean> {
    return this.#buffer === "" && await this.conn.read(new Uint8Array(1)) === null;
  }

  async #more(): Promise<void> {
    const chunk = new Uint8Array(65_536);
    const count = await this.conn.read(chunk);
    if (count === null) throw new Error("The connection was closed before an answer");
    // Latin-1: one character a byte, so that lengths agree.
    this.#buffer += Array.from(chunk.subarray(0, count), (byte) => String.fromCharCode(byte)).join(
      "",
    );
  }

  [Symbol.dispose](): void {
    this.conn.close();
  }
}

/** Sends one request head (lines without line ends) and gives its answer. */
export async function ask(
  port: number,
  lines: ReadonlyArray<string>,
  options?: { readonly head?: boolean },
): Promise<RawAnswer> {
  using connection = await RawConnection.open(port);
  await connection.send([...lines, "Host: localhost", "Connection: close", "", ""].join("\r\n"));
  return await connection.receive(options);
}
