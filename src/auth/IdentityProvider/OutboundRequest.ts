/**
 * One POST over HTTP/1.1, on a connection to an address that was checked; sent exactly once.
 *
 * Why not `fetch`, and so not @effect/platform's HttpClient: it resolves names by itself, so a name
 * could pass the check and lead elsewhere when it connects, and its `tcp` proxy, which could pin the
 * connection, sends https requests in plain text. `node:https` can pin (an agent's `lookup`), but
 * under Deno it sends a request again by itself when a kept connection ends, revives a request that
 * was destroyed, and in some versions lets a cut body end the process.
 */
import { Data, Effect, type Scope } from "effect";
import { monotonicMillis } from "../../resilience/Monotonic.ts";
import { AnswerReader, Malformed } from "./AnswerReader.ts";
import type { Connection } from "./Connection.ts";
import { AddressRefused, Connections, type Resolve, systemResolve } from "./Connections.ts";
import type { Target } from "./OutboundAddress.ts";

export { AddressRefused, type Resolve } from "./Connections.ts";

/** What came back. Header names are in lower case. */
export interface Answer {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  /** `undefined` when larger than the limit, or, for another status than 200, when it was cut off. */
  readonly body: Uint8Array | undefined;
}

/** No whole answer, and why. */
export class NoAnswer extends Data.TaggedError("NoAnswer")<{
  readonly reason: Reason;
  readonly cause: unknown;
}> {}

/** In words fit for a log: no hosts, no addresses. */
export type Reason =
  | "no answer in time"
  | "its name could not be resolved"
  | "connection refused"
  | "connection reset"
  | "it cannot be reached"
  | "its certificate is not trusted"
  | "TLS handshake failed"
  | "it does not speak HTTP"
  | "connection failed";

/** What is sent, and what is accepted back. */
export interface Post {
  readonly target: Target;
  /** Names and values that hold no line break. */
  readonly headers: Readonly<Record<string, string>>;
  /** ASCII. */
  readonly body: string;
  /** Milliseconds from the start of the name's look-up to the last byte of the answer's body. */
  readonly timeoutMillis: number;
  /** Largest body accepted, in bytes. */
  readonly maxBodyBytes: number;
}

/** Where connections may go, and whom they trust. */
export interface Options {
  /** Certificate authorities in PEM, trusted beside the well-known ones [none]. */
  readonly authorities?: ReadonlyArray<string>;
  /** Asked once per new connection [the system's resolver]. */
  readonly resolve?: Resolve;
}

/** What can be done with an endpoint; interruption ends it together with its connection. */
export interface Outbound {
  /** Sends one request. */
  readonly send: (post: Post) => Effect.Effect<Answer, NoAnswer | AddressRefused>;
  /** Connects, TLS handshake included, within so many milliseconds, and sends nothing. */
  readonly reach: (
    target: Target,
    timeoutMillis: number,
  ) => Effect.Effect<void, NoAnswer | AddressRefused>;
}

/** Requests over connections that are kept, and closed with the scope. */
export const make = (
  { authorities = [], resolve = systemResolve }: Options = {},
): Effect.Effect<Outbound, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.map(Effect.clock, (clock) =>
        new Connections({ authorities, resolve, now: () => monotonicMillis(clock) })),
      (connections) =>
        Effect.sync(() => connections.close()),
    ),
    (connections): Outbound => ({
      send: (post) =>
        Effect.suspend(() => {
          const reader = new AnswerReader(post.maxBodyBytes);
          return within(
            post.timeoutMillis,
            (signal) => exchange(connections, post, reader, signal),
            // Once the status is known, only a 200 needs its body.
            (failure) => isEnough(reader) ? Effect.succeed(answerOf(reader, undefined)) : failure,
          );
        }),
      reach: (target, timeoutMillis) =>
        within(timeoutMillis, (signal) => connections.reach(target, signal), Effect.fail),
    }),
  );

/** Runs `work`, and aborts it after so many milliseconds or with the fiber that waits for it. */
const within = <A>(
  timeoutMillis: number,
  work: (signal: AbortSignal) => Promise<A>,
  onFailure: (failure: NoAnswer | AddressRefused) => Effect.Effect<A, NoAnswer | AddressRefused>,
): Effect.Effect<A, NoAnswer | AddressRefused> =>
  Effect.async((resume) => {
    const end = new AbortController();
    const settle = (result: Effect.Effect<A, NoAnswer | AddressRefused>) => {
      clearTimeout(timer);
      resume(result);
    };
    // Real time and not Effect's Clock: the socket it limits is as real.
    const timer = setTimeout(() => {
      settle(onFailure(new NoAnswer({ reason: "no answer in time", cause: null })));
      end.abort();
    }, timeoutMillis);
    work(end.signal).then(
      (value) => settle(Effect.succeed(value)),
      (error: unknown) => settle(onFailure(failureOf(error))),
    );
    return Effect.sync(() => {
      clearTimeout(timer);
      end.abort();
    });
  });

const isEnough = ({ status }: AnswerReader): boolean => status !== 0 && status !== 200;

const answerOf = (reader: AnswerReader, body: Uint8Array | undefined): Answer => ({
  status: reader.status,
  header: (name) => reader.headers.get(name),
  body,
});

const exchange = async (
  connections: Connections,
  post: Post,
  reader: AnswerReader,
  signal: AbortSignal,
): Promise<Answer> => {
  const connection = await connections.take(post.target, signal);
  const close = () => connection.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    signal.throwIfAborted();
    await connection.write(requestBytes(post));
    const isWhole = await readAnswer(connection, reader);
    if (reader.isReusable) connections.give(connection, keepMillis(reader));
    else connection.close();
    return answerOf(reader, isWhole ? reader.body() : undefined);
  } catch (error) {
    connection.close();
    throw error;
  } finally {
    signal.removeEventListener("abort", close);
  }
};

/** False when the body is larger than the limit. */
const readAnswer = async (connection: Connection, reader: AnswerReader): Promise<boolean> => {
  for (;;) {
    const bytes = await connection.read();
    if (bytes === null) {
      reader.end();
      return true;
    }
    const progress = reader.push(bytes);
    if (progress !== "more") return progress === "done";
  }
};

/** How long the endpoint says it keeps the connection, less a second for the way to it. */
const keepMillis = (reader: AnswerReader): number | undefined => {
  const [, seconds] = /(?:^|[\s,])timeout=(\d{1,6})/.exec(reader.headers.get("keep-alive") ?? "") ??
    [];
  return seconds === undefined ? undefined : Math.max(0, Number(seconds) - 1) * 1_000;
};

const requestBytes = ({ target, headers, body }: Post): Uint8Array => {
  const lines = Object.entries({
    host: target.authority,
    ...headers,
    "content-length": body.length,
  })
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return new TextEncoder().encode(`POST ${target.path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
};

const failureOf = (cause: unknown): NoAnswer | AddressRefused =>
  cause instanceof AddressRefused ? cause : new NoAnswer({ reason: reasonOf(cause), cause });

const byCode: Readonly<Record<string, Reason>> = {
  ENOTFOUND: "its name could not be resolved",
  EAI_AGAIN: "its name could not be resolved",
  EAI_NODATA: "its name could not be resolved",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  ECONNABORTED: "connection reset",
  EPIPE: "connection reset",
  ETIMEDOUT: "no answer in time",
  EHOSTUNREACH: "it cannot be reached",
  ENETUNREACH: "it cannot be reached",
};

const reasonOf = (cause: unknown): Reason => {
  if (cause instanceof Malformed) {
    return cause.reason === "connection closed" ? "connection reset" : "it does not speak HTTP";
  }
  if (!(cause instanceof Error)) return "connection failed";
  const code: unknown = Reflect.get(cause, "code");
  const known = typeof code === "string" ? byCode[code] : undefined;
  if (known !== undefined) return known;
  // Of TLS there is only the text of the library.
  if (/certificate/i.test(cause.message)) return "its certificate is not trusted";
  if (cause instanceof Deno.errors.UnexpectedEof) return "connection reset";
  return typeof code === "string" && code.startsWith("ERR_SSL_")
    ? "TLS handshake failed"
    : "connection failed";
};
