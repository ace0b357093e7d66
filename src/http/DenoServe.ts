/**
 * The way past the public classes on both sides of `Deno.serve`.
 *
 * Of the 13 to 17 µs that a request cost in all, 1 to 3 went into them, measured: one header read
 * through `request.headers` makes the server copy all of them once the answer is there, and take one
 * more turn for it (0.8 µs); a response checks each header that is appended to it character by
 * character, and one that is not 200 is built twice (1.2 to 2.3 µs); and a body that is there is
 * waited for all the same.
 *
 * What this trades: it rests on names inside Deno, which promises none of them. So they are looked
 * for in the objects themselves, answers are tried out once, and where something is not what it was,
 * the public classes do the work. The tests hold both ways against each other.
 */
import * as Header from "./Header.ts";

/**
 * A request header's value; several of one name are joined by a comma and a blank. To be called
 * before there is an answer: the server has forgotten the request afterwards, and this throws.
 */
export const requestHeader = (request: Request, name: string): string | null => {
  const served = servedBelow(request);
  return served === undefined ? request.headers.get(name) : served.header(name);
};

/**
 * A request's whole body, once, if it is there already: most come with their head, though the first one
 * of a connection only if both are within some 500 bytes. Else `undefined`, and the request's own
 * methods are to wait for it.
 */
export const arrivedBody = (request: Request): Uint8Array<ArrayBuffer> | undefined => {
  const body = servedBelow(request)?.body;
  if (!holdsArrived(body)) return undefined;
  body.streamOrStatic.consumed = true;
  return body.streamOrStatic.body;
};

/** A text as the answer, with these headers and no others. */
export const textResponse = (
  status: number,
  text: string,
  headers: ReadonlyArray<Header.Header>,
): Response => {
  const response = new Response(text);
  // Ends the short cut of an answer without headers of its own, which would go past ours.
  void response.headers;
  const sent = sentBelow(response);
  // A status that cannot be is for the constructor to refuse.
  if (sent === undefined || !(status >= 200 && status < 600)) {
    return bodyResponse(status, text, headers);
  }
  fill(sent, status, headers);
  return response;
};

/** Any body or none as the answer, with these headers and no others; of a text, too, but slower. */
export const bodyResponse = (
  status: number,
  body: BodyInit | null,
  headers: ReadonlyArray<Header.Header>,
): Response => {
  // Appending costs a fifth of giving them to the constructor, which converts and copies them twice.
  const response = new Response(body, { status });
  response.headers.delete("content-type");
  for (const [name, value] of headers) response.headers.append(name, value);
  return response;
};

/** What the server reads a request from, until there is an answer. */
interface Served {
  readonly header: (name: string) => string | null;
  /** Looking at it decides whether the body is taken as it is there or as a stream. */
  readonly body?: unknown;
}

/** `undefined` for requests that do not come from the server. */
const servedBelow = (request: Request): Served | undefined => {
  requestKey ??= keyOf(request, "request") ?? absent;
  const served = slotsOf(request)[requestKey];
  return isServed(served) ? served : undefined;
};

const isServed = (inner: unknown): inner is Served =>
  typeof inner === "object" && inner !== null && "header" in inner &&
  typeof inner.header === "function";

/** A body that was there when it was looked at, and that nobody has read. */
interface Arrived {
  readonly streamOrStatic: { readonly body: Uint8Array<ArrayBuffer>; consumed: boolean };
}

const holdsArrived = (inner: unknown): inner is Arrived => {
  if (typeof inner !== "object" || inner === null || !("streamOrStatic" in inner)) return false;
  const kept = inner.streamOrStatic;
  return typeof kept === "object" && kept !== null && "consumed" in kept && !kept.consumed &&
    "body" in kept && kept.body instanceof Uint8Array;
};

/** What the server sends of a response. */
interface Sent {
  status: number;
  readonly headerList: Array<Header.Header>;
}

/** `undefined` where an answer that is filled there does not show it in the usual way. */
const sentBelow = (response: Response): Sent | undefined => {
  responseKey ??= provenKey() ?? absent;
  const sent = slotsOf(response)[responseKey];
  return isSent(sent) ? sent : undefined;
};

const isSent = (inner: unknown): inner is Sent =>
  typeof inner === "object" && inner !== null && "status" in inner && "headerList" in inner &&
  Array.isArray(inner.headerList);

const fill = (sent: Sent, status: number, headers: ReadonlyArray<Header.Header>): void => {
  sent.status = status;
  const { headerList } = sent;
  headerList.length = 0;
  for (const header of headers) headerList.push(header);
};

type Slots = { readonly [key: symbol]: unknown };

/** What an object of the runtime keeps under symbols: unknown until it has been looked at. */
const slotsOf = (of: Request | Response) => of as typeof of & Slots;

const keyOf = (of: Request | Response, description: string): symbol | undefined =>
  Object.getOwnPropertySymbols(of).find((symbol) => symbol.description === description);

/** The key of no slot. */
const absent = Symbol("absent");

// Looked for at the first request and the first answer: at a start it would take 0.6 ms.
let requestKey: symbol | undefined;
let responseKey: symbol | undefined;

const provenKey = (): symbol | undefined => {
  const response = new Response("probe");
  void response.headers;
  const key = keyOf(response, "response");
  const sent = key === undefined ? undefined : slotsOf(response)[key];
  if (!isSent(sent)) return undefined;
  fill(sent, 503, [Header.make("x-probe", "1")]);
  return response.status === 503 && [...response.headers].join() === "x-probe,1" ? key : undefined;
};
