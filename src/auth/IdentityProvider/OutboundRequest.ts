/**
 * One POST over node:http(s), bound to the addresses that were checked.
 *
 * Why not `fetch`, and so not @effect/platform's HttpClient: it resolves names by itself, so a name
 * could pass the check and then resolve to another address, and its `tcp` proxy, which could pin
 * the connection, sends https requests in plain text. An agent's `lookup` is what the socket
 * connects by: it checks every address it hands out, and a kept connection stays where it was made.
 */
import { Data, Effect, type Scope } from "effect";
import { lookup } from "node:dns/promises";
import * as http from "node:http";
import * as https from "node:https";
import type { LookupFunction } from "node:net";
import { getCACertificates } from "node:tls";
import { objection, type Target } from "./OutboundAddress.ts";

/** What came back. Header names are in lower case. */
export interface Answer {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  /** `undefined` when larger than the limit, or, for another status than 200, when it was cut off. */
  readonly body: Uint8Array | undefined;
}

/** No whole answer; `code` is the driver's (`ECONNRESET`, …), or `""`. */
export class NoAnswer extends Data.TaggedError("NoAnswer")<{
  readonly code: string;
  readonly timedOut: boolean;
  readonly cause: unknown;
}> {}

/** The host's name resolved to an address that must not be connected to. */
export class AddressRefused extends Data.TaggedError("AddressRefused")<{
  readonly reason: string;
}> {}

/** What is sent, and what is accepted back. */
export interface Post {
  readonly target: Target;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Milliseconds from the start of the name's look-up to the last byte of the answer's body. */
  readonly timeoutMillis: number;
  /** Largest body accepted, in bytes. */
  readonly maxBodyBytes: number;
}

/** One address of a name. */
export interface Address {
  readonly address: string;
  readonly family: 4 | 6;
}

/** Finds all addresses of a host name; rejects with the resolver's own error. */
export type Resolve = (hostname: string) => Promise<Array<Address>>;

/** Where connections may go, and whom they trust. */
export interface Options {
  /** Allows http to other hosts than this one [false]. */
  readonly allowInsecure?: boolean;
  /** Certificate authorities in PEM, trusted beside the platform's [none]. */
  readonly authorities?: ReadonlyArray<string>;
  /** Asked once per new connection [the system's resolver]. */
  readonly resolve?: Resolve;
}

/** The system's resolver: its own order, hosts file included. */
const systemResolve: Resolve = async (hostname) =>
  (await lookup(hostname, { all: true })).map(({ address, family }) => ({
    address,
    family: family === 6 ? 6 : 4,
  }));

/** Sends one request; interruption destroys it together with its connection. */
export type Send = (post: Post) => Effect.Effect<Answer, NoAnswer | AddressRefused>;

/**
 * Unused connections are closed after this many milliseconds: before the silent four minutes at
 * which address translators on the way forget them.
 */
const idleMillis = 30_000;

/** Checks every address of a name before the socket may connect to any of them. */
const checkedLookup =
  (resolve: Resolve, loopbackOnly: boolean): LookupFunction => (hostname, options, callback) => {
    const answer = (addresses: Array<Address>) => {
      const reason = objection({ loopbackOnly }, addresses.map(({ address }) => address));
      if (reason !== undefined) return callback(new AddressRefused({ reason }), "", 4);
      const [first] = addresses;
      if (options.all === true || first === undefined) return callback(null, addresses);
      callback(null, first.address, first.family);
    };
    resolve(hostname).then(answer, (error: Error) => callback(error, "", 4));
  };

const codeOf = (error: unknown): string => {
  const code: unknown = error instanceof Error ? Reflect.get(error, "code") : undefined;
  return typeof code === "string" ? code : "";
};

const noAnswer = (cause: unknown): NoAnswer | AddressRefused =>
  cause instanceof AddressRefused
    ? cause
    : new NoAnswer({ code: codeOf(cause), timedOut: codeOf(cause) === "ETIMEDOUT", cause });

/** Collects a body up to its limit and says once how it ended. */
const readBody = (
  response: http.IncomingMessage,
  maxBytes: number,
  done: (body: Uint8Array | undefined, wasCut: boolean) => void,
) => {
  const chunks: Array<Uint8Array> = [];
  let size = 0;
  response.on("data", (chunk: Uint8Array) => {
    size += chunk.length;
    if (size <= maxBytes) {
      chunks.push(chunk);
    } else {
      done(undefined, false);
      response.destroy();
    }
  });
  response.on("end", () => done(Buffer.concat(chunks), false));
  // An answer cut off in the middle ends with "close" alone, or with an error before it.
  response.on("error", () => done(undefined, true));
  response.on("close", () => done(undefined, true));
};

/** Two pools of kept connections, one per scheme, closed with the scope. */
export const make = (
  { allowInsecure = false, authorities, resolve = systemResolve }: Options = {},
): Effect.Effect<Send, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const pool = { keepAlive: true, timeout: idleMillis };
        const trust = authorities === undefined
          ? {}
          : { ca: [...getCACertificates("default"), ...authorities] };
        return {
          plain: new http.Agent({ ...pool, lookup: checkedLookup(resolve, !allowInsecure) }),
          tls: new https.Agent({ ...pool, ...trust, lookup: checkedLookup(resolve, false) }),
        };
      }),
      ({ plain, tls }) =>
        Effect.sync(() => {
          plain.destroy();
          tls.destroy();
        }),
    ),
    ({ plain, tls }): Send => ({ target, headers, body, timeoutMillis, maxBodyBytes }) =>
      Effect.async((resume) => {
        let isSettled = false;
        let status = 0;
        let header: Answer["header"] = () => undefined;
        const settle = (result: Effect.Effect<Answer, NoAnswer | AddressRefused>) => {
          if (isSettled) return;
          isSettled = true;
          clearTimeout(timer);
          resume(result);
        };
        // Once the status is known, only a 200 needs its body.
        const settleCut = (failure: NoAnswer | AddressRefused) =>
          settle(
            status === 0 || status === 200
              ? failure
              : Effect.succeed({ status, header, body: undefined }),
          );
        const options: https.RequestOptions = {
          method: "POST",
          host: target.host,
          port: target.port,
          path: target.path,
          headers: { ...headers, host: target.authority },
          agent: target.isTls ? tls : plain,
        };
        const request = (target.isTls ? https : http).request(options, (response) => {
          status = response.statusCode ?? 0;
          header = (name) => {
            const value = response.headers[name];
            return Array.isArray(value) ? value[0] : value;
          };
          readBody(response, maxBodyBytes, (content, wasCut) => {
            if (wasCut) {
              settleCut(new NoAnswer({ code: "ECONNRESET", timedOut: false, cause: null }));
            } else settle(Effect.succeed({ status, header, body: content }));
          });
        });
        // Real time and not Effect's Clock: the socket it limits is as real.
        const timer = setTimeout(() => {
          settleCut(new NoAnswer({ code: "ETIMEDOUT", timedOut: true, cause: null }));
          request.destroy();
        }, timeoutMillis);
        request.on("error", (error) => settleCut(noAnswer(error)));
        // Deno sends a request again when a kept connection ends before the answer. That hides a
        // connection the endpoint had closed while unused, but it also revives a destroyed request.
        request.on("socket", (socket) => {
          if (isSettled) socket.destroy();
        });
        request.end(body);
        return Effect.sync(() => {
          isSettled = true;
          clearTimeout(timer);
          request.destroy();
        });
      }),
  );
