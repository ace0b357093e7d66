/**
 * The smallest client of Redis's protocol: one command on one connection. The tests' own look at a
 * server, apart from the client under test.
 */

/** What Redis can answer. */
export type Reply = string | number | null | ReadonlyArray<Reply>;

/** Where and how to connect. */
export interface RespTarget {
  readonly port: number;
  readonly password?: string | undefined;
  /** PEM of the authority to trust; set for TLS. */
  readonly ca?: string | undefined;
}

/** Sends one command and gives its reply; rejects on an error reply and after `limitMs` [2000]. */
export async function sendCommand(
  target: RespTarget,
  command: ReadonlyArray<string>,
  limitMs = 2_000,
): Promise<Reply> {
  const where = { hostname: "127.0.0.1", port: target.port };
  const conn = target.ca === undefined
    ? await Deno.connect(where)
    : await Deno.connectTls({ ...where, caCerts: [target.ca] });
  const timer = setTimeout(() => close(conn), limitMs);
  try {
    const commands = target.password === undefined
      ? [command]
      : [["AUTH", target.password], command];
    await write(conn, commands.map(encode).join(""));
    const reader = new ReplyReader(conn);
    if (target.password !== undefined) await reader.read();
    return await reader.read();
  } finally {
    clearTimeout(timer);
    close(conn);
  }
}

const encode = (parts: ReadonlyArray<string>): string =>
  `*${parts.length}\r\n${
    parts.map((part) => `$${new TextEncoder().encode(part).length}\r\n${part}\r\n`).join("")
  }`;

async function write(conn: Deno.Conn, text: string): Promise<void> {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(await conn.write(bytes));
}

function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch (error) {
    // The time limit closed it before.
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

class ReplyReader {
  #buffer = new Uint8Array();
  readonly #conn: Deno.Conn;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  async read(): Promise<Reply> {
    const line = await this.#line();
    const rest = line.slice(1);
    switch (line[0]) {
      case "+":
        return rest;
      case "-":
        throw new Error(rest);
      case ":":
        return Number(rest);
      case "$":
        return rest === "-1" ? null : await this.#text(Number(rest));
      case "*": {
        const replies: Array<Reply> = [];
        for (let i = 0; i < Number(rest); i++) replies.push(await this.read());
        return rest === "-1" ? null : replies;
      }
      default:
        throw new Error(`Not a reply of Redis: "${line}"`);
    }
  }

  async #line(): Promise<string> {
    for (;;) {
      const end = this.#buffer.indexOf(10);
      if (end >= 0) return this.#take(end + 1).trimEnd();
      await this.#more();
    }
  }

  async #text(length: number): Promise<string> {
    while (this.#buffer.length < length + 2) await this.#more();
    return this.#take(length + 2).slice(0, -2);
  }

  #take(length: number): string {
    const text = new TextDecoder().decode(this.#buffer.subarray(0, length));
    this.#buffer = this.#buffer.subarray(length);
    return text;
  }

  async #more(): Promise<void> {
    const chunk = new Uint8Array(16 * 1024);
    const read = await this.#conn.read(chunk);
    if (read === null) throw new Error("The connection was closed");
    const joined = new Uint8Array(this.#buffer.length + read);
    joined.set(this.#buffer);
    joined.set(chunk.subarray(0, read), this.#buffer.length);
    this.#buffer = joined;
  }
}
