/**
 * As much of HTTP/1.1 as a scripted endpoint needs, over a plain socket: requests with a length or
 * in chunks, one after the other on a connection, and answers that may end in the middle.
 */
import type net from "node:net";

/** One request. */
export interface HttpRequest {
  readonly method: string;
  /** Path without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  readonly body: string;
}

/** Cuts a stream of bytes into requests. */
export class RequestReader {
  #buffer: Uint8Array = new Uint8Array();
  readonly #onRequest: (request: HttpRequest) => void;

  constructor(onRequest: (request: HttpRequest) => void) {
    this.#onRequest = onRequest;
  }

  /** Takes more bytes and reports the requests that they complete. */
  push(chunk: Uint8Array): void {
    const joined = new Uint8Array(this.#buffer.length + chunk.length);
    joined.set(this.#buffer);
    joined.set(chunk, this.#buffer.length);
    this.#buffer = joined;
    for (let parsed = parse(this.#buffer); parsed !== undefined; parsed = parse(this.#buffer)) {
      this.#buffer = this.#buffer.subarray(parsed.length);
      this.#onRequest(parsed.request);
    }
  }
}

interface Parsed {
  readonly request: HttpRequest;
  /** Bytes that the request took. */
  readonly length: number;
}

function parse(bytes: Uint8Array): Parsed | undefined {
  // One character a byte, so that indexes are byte offsets.
  const text = new TextDecoder("latin1").decode(bytes);
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const [requestLine = "", ...lines] = text.slice(0, headEnd).split("\r\n");
  const headers = new Headers(lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  }));
  const chunked = headers.get("transfer-encoding") === "chunked";
  const start = headEnd + 4;
  const body = chunked
    ? readChunks(text, start)
    : readLength(text, start, Number(headers.get("content-length") ?? 0));
  if (body === undefined) return undefined;
  const [method = "", target = ""] = requestLine.split(" ");
  const url = new URL(target, "http://127.0.0.1");
  const raw = Uint8Array.from(body.text, (character) => character.charCodeAt(0));
  return {
    request: {
      method,
      path: url.pathname,
      query: url.searchParams,
      headers,
      body: new TextDecoder().decode(raw),
    },
    length: body.end,
  };
}

interface Body {
  readonly text: string;
  readonly end: number;
}

function readLength(text: string, start: number, length: number): Body | undefined {
  const end = start + length;
  return text.length < end ? undefined : { text: text.slice(start, end), end };
}

function readChunks(text: string, start: number): Body | undefined {
  let body = "";
  for (let at = start;;) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    const end = lineEnd + 2 + size + 2;
    if (text.length < end) return undefined;
    if (size === 0) return { text: body, end };
    body += text.slice(lineEnd + 2, end - 2);
    at = end;
  }
}

/** How an answer may end early. */
export interface AnswerOptions {
  /** Sends only half of the body that the head promises. */
  readonly half?: boolean;
  /** Called when the bytes are handed to the system. */
  readonly done?: () => void;
}

/** Writes an answer with a content length. */
export function writeAnswer(
  socket: net.Socket,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Uint8Array,
  { half = false, done = () => {} }: AnswerOptions = {},
): void {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const lines = Object.entries({ ...headers, "content-length": String(bytes.length) })
    .map(([name, value]) => `${name}: ${value}\r\n`);
  const head = new TextEncoder().encode(`HTTP/1.1 ${status} Status\r\n${lines.join("")}\r\n`);
  const sent = half ? bytes.subarray(0, bytes.length >> 1) : bytes;
  const whole = new Uint8Array(head.length + sent.length);
  whole.set(head);
  whole.set(sent, head.length);
  socket.write(whole, () => done());
}
