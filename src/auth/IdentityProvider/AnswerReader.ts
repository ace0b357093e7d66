/**
 * HTTP/1.1 answers (RFC 9112) cut out of the bytes of a connection, within limits and strictly: what
 * is ambiguous is malformed, because the next answer on the connection must not be guessed at.
 *
 * Pure: bytes go in by `push`, the end of the connection by `end`; both say how far it is.
 */
import { Data } from "effect";

/** The bytes are no answer; `reason` is fit for a log. */
export class Malformed extends Data.TaggedError("Malformed")<{ readonly reason: string }> {}

/** What is known of an answer so far. */
export type Progress =
  /** Something is missing. */
  | "more"
  /** The answer is whole. */
  | "done"
  /** The body exceeds the limit; nothing more is read. */
  | "too large";

/** Largest head, and largest trailer, in bytes. */
const maxHead = 16_384;

/** Longest line with a chunk's size, in bytes. */
const maxChunkLine = 256;

type Part = "head" | "length" | "chunk size" | "chunk" | "chunk end" | "trailer" | "close" | "done";

const statusLine = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [^\r\n\0]*)?$/;
const headerLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*$/;
const chunkLine = /^([0-9A-Fa-f]{1,7})[ \t]*(?:;[^\r\n\0]*)?$/;

const nothing = new Uint8Array();

/** Reads one answer to a request that was no HEAD. */
export class AnswerReader {
  /** 0 until the head is there. */
  status = 0;
  readonly headers = new Map<string, string>();
  readonly #maxBody: number;
  readonly #body: Array<Uint8Array> = [];
  #bodySize = 0;
  #rest: Uint8Array = nothing;
  /** Bytes of `rest` that are known to begin no empty line: a slow head is searched once. */
  #searched = 0;
  #part: Part = "head";
  /** Bytes missing of the body or of the chunk. */
  #missing = 0;
  #trailerSize = 0;
  #keepsAlive = false;

  constructor(maxBody: number) {
    this.#maxBody = maxBody;
  }

  /** Takes more bytes; they may be overwritten afterwards. Throws {@link Malformed}. */
  push(bytes: Uint8Array): Progress {
    this.#rest = concat([this.#rest, bytes]);
    while (this.#part !== "done") {
      if (this.#bodySize > this.#maxBody) return "too large";
      if (!this.#step()) return "more";
    }
    return this.#bodySize > this.#maxBody ? "too large" : "done";
  }

  /** The connection has ended. Throws {@link Malformed} when the answer has not. */
  end(): void {
    if (this.#part !== "close") throw new Malformed({ reason: "connection closed" });
    this.#part = "done";
  }

  /** The body, when the answer is whole. */
  body(): Uint8Array {
    return concat(this.#body);
  }

  /** True when the connection may carry another request: a whole answer and nothing behind it. */
  get isReusable(): boolean {
    return this.#keepsAlive && this.#part === "done" && this.#rest.length === 0;
  }

  /** Reads one part on; false when bytes are missing for it. */
  #step(): boolean {
    switch (this.#part) {
      case "head":
        return this.#head();
      case "length":
      case "chunk":
        return this.#data();
      case "chunk size":
        return this.#chunkSize();
      case "chunk end": {
        const line = this.#line(2);
        if (line !== undefined && line !== "") throw new Malformed({ reason: "bad chunk" });
        if (line !== undefined) this.#part = "chunk size";
        return line !== undefined;
      }
      case "trailer": {
        const line = this.#line(maxHead);
        if (line === undefined) return false;
        this.#trailerSize += line.length;
        if (this.#trailerSize > maxHead) throw new Malformed({ reason: "trailer too large" });
        if (line === "") this.#part = "done";
        return true;
      }
      case "close":
        if (this.#rest.length === 0) return false;
        this.#keep(this.#rest.length);
        return true;
      case "done":
        return false;
    }
  }

  #head(): boolean {
    const limited = this.#rest.subarray(0, maxHead);
    const end = emptyLine(limited, this.#searched);
    if (end < 0) {
      const start = latin1(limited.subarray(0, 7));
      if (!"HTTP/1.".startsWith(start)) throw new Malformed({ reason: "no HTTP" });
      if (this.#rest.length >= maxHead) throw new Malformed({ reason: "head too large" });
      this.#searched = Math.max(0, limited.length - 3);
      return false;
    }
    this.#searched = 0;
    this.#rest = this.#rest.subarray(end + 4);
    const [first = "", ...lines] = latin1(limited.subarray(0, end)).split("\r\n");
    const [, minor, status] = statusLine.exec(first) ?? [];
    if (status === undefined) throw new Malformed({ reason: "no HTTP" });
    if (status === "101") throw new Malformed({ reason: "unasked upgrade" });
    // 100 and its like come before the answer.
    if (status.startsWith("1")) return true;
    for (const line of lines) this.#header(line);
    this.status = Number(status);
    const connection = this.headers.get("connection")?.toLowerCase() ?? "";
    this.#keepsAlive = minor === "1" && !connection.split(/[ \t]*,[ \t]*/).includes("close");
    this.#part = this.#framing();
    return true;
  }

  #header(line: string): void {
    const [, name = "", value = ""] = headerLine.exec(line) ?? [];
    if (name === "") throw new Malformed({ reason: "bad header" });
    const key = name.toLowerCase();
    const known = this.headers.get(key);
    if (known === undefined) {
      this.headers.set(key, value);
    } else if ((key === "content-length" && known !== value) || key === "transfer-encoding") {
      throw new Malformed({ reason: "contradictory headers" });
    }
  }

  /** RFC 9112 §6.3. */
  #framing(): Part {
    if (this.status === 204 || this.status === 304) return "done";
    const length = this.headers.get("content-length");
    const encoding = this.headers.get("transfer-encoding");
    if (encoding !== undefined) {
      if (length !== undefined) throw new Malformed({ reason: "contradictory headers" });
      if (encoding.toLowerCase() !== "chunked") throw new Malformed({ reason: "unknown encoding" });
      return "chunk size";
    }
    if (length === undefined) {
      this.#keepsAlive = false;
      return "close";
    }
    if (!/^\d{1,15}$/.test(length)) throw new Malformed({ reason: "bad content length" });
    this.#missing = Number(length);
    return this.#missing === 0 ? "done" : "length";
  }

  #data(): boolean {
    if (this.#rest.length === 0) return false;
    const size = Math.min(this.#missing, this.#rest.length);
    this.#keep(size);
    this.#missing -= size;
    if (this.#missing === 0) this.#part = this.#part === "chunk" ? "chunk end" : "done";
    return true;
  }

  #chunkSize(): boolean {
    const line = this.#line(maxChunkLine);
    if (line === undefined) return false;
    const [, size] = chunkLine.exec(line) ?? [];
    if (size === undefined) throw new Malformed({ reason: "bad chunk" });
    this.#missing = Number.parseInt(size, 16);
    this.#part = this.#missing === 0 ? "trailer" : "chunk";
    return true;
  }

  /** The next line without its end, or `undefined` while that is missing. */
  #line(limit: number): string | undefined {
    const limited = this.#rest.subarray(0, limit);
    const end = lineEnd(limited, 0);
    if (end < 0) {
      if (this.#rest.length >= limit) throw new Malformed({ reason: "line too long" });
      return undefined;
    }
    this.#rest = this.#rest.subarray(end + 2);
    return latin1(limited.subarray(0, end));
  }

  #keep(size: number): void {
    this.#bodySize += size;
    if (this.#bodySize <= this.#maxBody) this.#body.push(this.#rest.slice(0, size));
    this.#rest = this.#rest.subarray(size);
  }
}

/** One copy of all bytes, however many pieces they came in. */
const concat = (pieces: ReadonlyArray<Uint8Array>): Uint8Array => {
  const all = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
};

/** Where the next CR LF begins, or -1. */
const lineEnd = (bytes: Uint8Array, from: number): number => {
  for (let at = bytes.indexOf(13, from); at >= 0; at = bytes.indexOf(13, at + 1)) {
    if (bytes[at + 1] === 10) return at;
  }
  return -1;
};

/** Where the next CR LF CR LF begins, or -1. */
const emptyLine = (bytes: Uint8Array, from: number): number => {
  for (let at = lineEnd(bytes, from); at >= 0; at = lineEnd(bytes, at + 2)) {
    if (bytes[at + 2] === 13 && bytes[at + 3] === 10) return at;
  }
  return -1;
};

/** One character a byte, so that indexes are byte offsets. */
const latin1 = (bytes: Uint8Array): string => {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
};
