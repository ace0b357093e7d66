/**
 * Reading a request's JSON body within limits: its content type, its size (by the announced length
 * at once, else while it comes in), its encoding, and how deep it nests.
 */
import { Effect } from "effect";
import * as Immediate from "../resilience/Immediate.ts";
import { arrivedBody, requestHeader } from "./DenoServe.ts";
import { type AnyProblem, BadRequest, PayloadTooLarge, UnsupportedMediaType } from "./Problem.ts";

/** Deepest nesting of arrays and objects that is parsed. */
export const maxDepth = 32;

const notJson = "Request body is not valid JSON";

/** The parsed body. A body that never completes is for the request's deadline to end. */
export const readJson = (
  request: Request,
  maxBytes: number,
): Effect.Effect<unknown, AnyProblem> => {
  const announced = requestHeader(request, "content-length");
  if (announced !== null) {
    const length = Number(announced);
    if (length > maxBytes) return new PayloadTooLarge();
    if (length === 0) return missing();
    if (!isAcceptable(request)) return new UnsupportedMediaType();
    const arrived = arrivedBody(request);
    return arrived === undefined ? Immediate.flatMap(readKnown(request), parse) : parse(arrived);
  }
  const isChunked = requestHeader(request, "transfer-encoding") !== null;
  const acceptable = isAcceptable(request);
  if (isChunked && !acceptable) return new UnsupportedMediaType();
  // HTTP/2 announces no body at all: only reading tells whether there is one.
  return Effect.flatMap(
    readStream(request, maxBytes),
    (bytes): Effect.Effect<unknown, AnyProblem> => {
      if (bytes.byteLength === 0) return missing();
      return acceptable ? parse(bytes) : new UnsupportedMediaType();
    },
  );
};

const missing = () => new BadRequest({ error: "Request body is required" });

const isAcceptable = (request: Request): boolean =>
  isJson(requestHeader(request, "content-type")) &&
  isPlain(requestHeader(request, "content-encoding"));

const isJson = (contentType: string | null): boolean => {
  if (contentType === null) return false;
  if (contentType === "application/json") return true;
  const [type, ...parameters] = contentType.toLowerCase().split(";");
  if (type?.trim() !== "application/json") return false;
  return parameters.every((parameter) => {
    const [name, value] = parameter.split("=");
    return name?.trim() !== "charset" || /^\s*"?utf-?8"?\s*$/.test(value ?? "");
  });
};

const isPlain = (contentEncoding: string | null): boolean =>
  contentEncoding === null || contentEncoding.toLowerCase() === "identity";

/** The caller went away, or broke the rules of chunked encoding: nobody may be left to answer. */
const incomplete = () => new BadRequest({ error: "Request body is incomplete" });

/** The server below reads no more than the announced length. */
const readKnown = (request: Request): Effect.Effect<Uint8Array<ArrayBuffer>, AnyProblem> =>
  new Immediate.Wait((resume) => {
    request.bytes().then(
      (bytes) => resume(Effect.succeed(bytes)),
      () => resume(incomplete()),
    );
  });

const readStream = (
  request: Request,
  maxBytes: number,
): Effect.Effect<Uint8Array<ArrayBuffer>, AnyProblem> =>
  Effect.async((resume) => {
    const reader = request.body?.getReader();
    if (reader === undefined) return resume(Effect.succeed(new Uint8Array(0)));
    const chunks: Array<Uint8Array<ArrayBuffer>> = [];
    let size = 0;
    const ignore = () => {};
    const pull = (): void => {
      reader.read().then(({ done, value }) => {
        if (done) return resume(Effect.succeed(concat(chunks, size)));
        size += value.byteLength;
        if (size > maxBytes) {
          reader.cancel().catch(ignore);
          return resume(new PayloadTooLarge());
        }
        chunks.push(value);
        pull();
      }).catch(() => resume(incomplete()));
    };
    pull();
    // The rest of a body that nobody waits for any more may fail to be cancelled: all the same.
    return Effect.sync(() => void reader.cancel().catch(ignore));
  });

const concat = (
  chunks: ReadonlyArray<Uint8Array<ArrayBuffer>>,
  size: number,
): Uint8Array<ArrayBuffer> => {
  const [only] = chunks;
  if (chunks.length === 1 && only !== undefined) return only;
  const all = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return all;
};

const replacing = new TextDecoder();
const strict = new TextDecoder("utf-8", { fatal: true });

/**
 * Throws for what is not UTF-8. The decoder that does so itself takes three times as long and makes a
 * text of two bytes a character; only where the other one may have replaced something it is needed.
 */
const decode = (bytes: Uint8Array): string => {
  const text = replacing.decode(bytes);
  return text.includes("\ufffd") ? strict.decode(bytes) : text;
};

/** The bytes are gone afterwards. */
const parse = (bytes: Uint8Array<ArrayBuffer>): Effect.Effect<unknown, BadRequest> => {
  try {
    const text = decode(bytes);
    // Gives their memory back: waiting for the collector costs 1 µs more, as it is cold by then.
    bytes.buffer.transfer(0);
    if (depthExceeds(text, maxDepth)) {
      return new BadRequest({ error: "Request body is nested too deeply" });
    }
    return Effect.succeed(JSON.parse(text));
  } catch {
    return new BadRequest({ error: notJson });
  }
};

/** Counts brackets outside strings; what is not JSON at all is found by the parser. */
export const depthExceeds = (text: string, limit: number): boolean => {
  // Most bodies have fewer brackets than that in all, which is quickly seen.
  if (openings(text, "{", limit) + openings(text, "[", limit) <= limit) return false;
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (inString) {
      if (code === 0x5c) i++; // a backslash hides the next character
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) {
      inString = true;
    } else if (code === 0x7b || code === 0x5b) {
      depth++;
      if (depth > limit) return true;
    } else if (code === 0x7d || code === 0x5d) {
      depth--;
    }
  }
  return false;
};

/** How often the bracket occurs, counted to one beyond the limit at most. */
const openings = (text: string, bracket: string, limit: number): number => {
  let count = 0;
  for (let at = text.indexOf(bracket); at >= 0 && count <= limit;) {
    count++;
    at = text.indexOf(bracket, at + 1);
  }
  return count;
};
