/**
 * A tenant's token endpoint (RFC 8693) that a test tells how to behave, well or badly. It speaks
 * HTTP/1.1 on plain sockets, so that it can also break the protocol, and keeps what it was asked.
 */
import net from "node:net";
import tls from "node:tls";
import { Duration, Effect, type Scope } from "effect";
import { freePort, releasePort } from "../ports.ts";
import { type Certificate, makeCertificate } from "./Certificate.ts";
import { type HttpRequest, RequestReader, writeAnswer } from "./RawHttp.ts";

/** One request as it came in. */
export interface TokenRequest extends HttpRequest {
  /** The body as a form, empty when it is none. */
  readonly form: URLSearchParams;
}

/**
 * - `ok`: 200 with a token; `accessToken` is `issued-<n>` unless given, `expiresIn` 3600 s, `fields`
 *   replace or (when undefined) remove fields of the JSON.
 * - `answer`: as given; a body that is no string or bytes is sent as JSON.
 * - `hang`: takes the request and never answers.
 * - `stall`: sends the head and half of the body of `ok`, then nothing.
 * - `reset`: resets the connection, before the answer or in the `middle` of it.
 * - `close`: closes the connection without an answer.
 * - `slow`: waits, then behaves as `then` [ok].
 * - `garbage`: answers with something that is not HTTP.
 * - `redirect`: 307 to the location.
 * - `oversized`: 200 with a valid JSON of at least so many bytes.
 */
export type TokenBehaviour =
  | {
    readonly kind: "ok";
    readonly accessToken?: string;
    readonly expiresIn?: number;
    readonly fields?: Readonly<Record<string, unknown>>;
  }
  | {
    readonly kind: "answer";
    readonly status: number;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: unknown;
  }
  | { readonly kind: "hang" | "stall" | "close" | "garbage" }
  | { readonly kind: "reset"; readonly middle?: boolean }
  | {
    readonly kind: "slow";
    readonly delay: Duration.DurationInput;
    readonly then?: TokenBehaviour;
  }
  | { readonly kind: "redirect"; readonly location: string; readonly status?: number }
  | { readonly kind: "oversized"; readonly bytes: number };

/** How the endpoint is started. */
export interface TokenEndpointOptions {
  /** Serves https with a certificate made for it [false]. */
  readonly tls?: boolean;
  /** Path of the endpoint ["/token"]; another path is answered with 404. */
  readonly path?: string;
}

/** A token endpoint of one test. */
export class TokenEndpoint {
  readonly port: number;
  readonly url: string;
  /** The certificate when started with TLS. */
  readonly certificate: Certificate | undefined;
  /** What was asked since the start or the last `forget`. */
  readonly requests: Array<TokenRequest> = [];
  /** Requests whose caller went away before the answer was sent. */
  abandoned = 0;
  readonly #path: string;
  readonly #directory: string | undefined;
  readonly #sockets = new Map<net.Socket, Promise<void>>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #server: net.Server | undefined;
  #behaviours: ReadonlyArray<TokenBehaviour> = [{ kind: "ok" }];
  #byRequest: ((request: TokenRequest) => TokenBehaviour) | undefined;
  #issued = 0;

  private constructor(path: string, directory?: string, certificate?: Certificate) {
    this.port = freePort();
    this.certificate = certificate;
    this.#path = path;
    this.#directory = directory;
    const scheme = certificate === undefined ? "http" : "https";
    this.url = `${scheme}://127.0.0.1:${this.port}${path}`;
  }

  /** Starts an endpoint that issues tokens. */
  static async start(options: TokenEndpointOptions = {}): Promise<TokenEndpoint> {
    const { path = "/token" } = options;
    const directory = options.tls === true
      ? await Deno.makeTempDir({ prefix: "amicis-token-" })
      : undefined;
    const certificate = directory === undefined ? undefined : await makeCertificate(directory);
    const endpoint = new TokenEndpoint(path, directory, certificate);
    await endpoint.listen();
    return endpoint;
  }

  /** The same as `start`, stopped with the scope. */
  static scoped(
    options: TokenEndpointOptions = {},
  ): Effect.Effect<TokenEndpoint, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.promise(() => TokenEndpoint.start(options)),
      (endpoint) => Effect.promise(() => endpoint.stop()),
    );
  }

  /**
   * What to do with the requests from now on: one behaviour each, the last for all that follow; or
   * a function of the request.
   */
  behave(
    ...behaviours:
      | readonly [(request: TokenRequest) => TokenBehaviour]
      | readonly [TokenBehaviour, ...ReadonlyArray<TokenBehaviour>]
  ): void {
    const [first, ...rest] = behaviours;
    if (typeof first === "function") {
      this.#byRequest = first;
      return;
    }
    this.#byRequest = undefined;
    this.#behaviours = [first, ...rest.filter((one) => typeof one !== "function")];
  }

  /** Forgets the requests so far. */
  forget(): void {
    this.requests.length = 0;
    this.abandoned = 0;
  }

  /** Stops listening: connections are refused, open ones reset, until `listen`. */
  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    const closed = new Promise<void>((resolve) => {
      if (server === undefined) resolve();
      else server.close(() => resolve());
    });
    for (const socket of this.#sockets.keys()) reset(socket);
    await Promise.all(this.#sockets.values());
    await closed;
  }

  /** Listens again on the same port after `refuse`. */
  async listen(): Promise<void> {
    if (this.#server !== undefined) return;
    const accept = (socket: net.Socket) => this.#accept(socket);
    const { certificate } = this;
    const server = certificate === undefined
      ? net.createServer(accept)
      : tls.createServer({ key: certificate.key, cert: certificate.cert }, accept);
    // A client that does not trust the certificate ends the handshake.
    server.on("tlsClientError", () => {});
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.port, "127.0.0.1", () => resolve());
    });
  }

  /** Ends the endpoint and its connections; its port is given back. */
  async stop(): Promise<void> {
    await this.refuse();
    releasePort(this.port);
    if (this.#directory !== undefined) await Deno.remove(this.#directory, { recursive: true });
  }

  #accept(socket: net.Socket): void {
    socket.on("error", () => {});
    // Every request on a kept connection waits for its close.
    socket.setMaxListeners(0);
    const closed = new Promise<void>((resolve) =>
      socket.once("close", () => {
        this.#sockets.delete(socket);
        resolve();
      })
    );
    this.#sockets.set(socket, closed);
    const reader = new RequestReader((request) => this.#handle(socket, request));
    socket.on("data", (chunk: Uint8Array) => reader.push(chunk));
  }

  #handle(socket: net.Socket, request: HttpRequest): void {
    if (request.path !== this.#path) return writeAnswer(socket, 404, {}, "");
    const asked = { ...request, form: new URLSearchParams(request.body) };
    this.requests.push(asked);
    const [first = { kind: "ok" as const }, ...rest] = this.#behaviours;
    if (this.#byRequest === undefined && rest.length > 0) this.#behaviours = rest;
    let answered = false;
    socket.once("close", () => {
      if (!answered && !forced.has(socket)) this.abandoned++;
    });
    this.#act(socket, this.#byRequest?.(asked) ?? first, () => answered = true);
  }

  #act(socket: net.Socket, behaviour: TokenBehaviour, answered: () => void): void {
    switch (behaviour.kind) {
      case "hang":
        return;
      case "slow": {
        const timer = setTimeout(() => {
          this.#timers.delete(timer);
          if (!socket.destroyed) this.#act(socket, behaviour.then ?? { kind: "ok" }, answered);
        }, Duration.toMillis(behaviour.delay));
        this.#timers.add(timer);
        return;
      }
      case "stall":
        return writeAnswer(socket, 200, JSON_TYPE, this.#token({ kind: "ok" }), { half: true });
      case "reset":
        if (behaviour.middle !== true) return reset(socket);
        return writeAnswer(socket, 200, JSON_TYPE, this.#token({ kind: "ok" }), {
          half: true,
          done: () => reset(socket),
        });
    }
    answered();
    switch (behaviour.kind) {
      case "ok":
        return writeAnswer(socket, 200, JSON_TYPE, this.#token(behaviour));
      case "answer": {
        const { status, headers = {}, body = "" } = behaviour;
        if (typeof body === "string" || body instanceof Uint8Array) {
          return writeAnswer(socket, status, headers, body);
        }
        return writeAnswer(socket, status, { ...JSON_TYPE, ...headers }, JSON.stringify(body));
      }
      case "redirect":
        return writeAnswer(socket, behaviour.status ?? 307, { location: behaviour.location }, "");
      case "oversized": {
        const fields = { padding: "x".repeat(behaviour.bytes) };
        return writeAnswer(socket, 200, JSON_TYPE, this.#token({ kind: "ok", fields }));
      }
      case "close":
        return void socket.end();
      case "garbage":
        return void socket.end("SSH-2.0-OpenSSH_9.2\r\n\u0000\u0001 this is no HTTP\r\n");
    }
  }

  #token(ok: Extract<TokenBehaviour, { kind: "ok" }>): string {
    return JSON.stringify({
      access_token: ok.accessToken ?? `issued-${++this.#issued}`,
      issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
      token_type: "Bearer",
      expires_in: ok.expiresIn ?? 3600,
      ...ok.fields,
    });
  }
}

const JSON_TYPE = { "content-type": "application/json", "cache-control": "no-store" };

/** Sockets that the endpoint itself ended, so that their callers did not go away. */
const forced = new WeakSet<net.Socket>();

function reset(socket: net.Socket): void {
  forced.add(socket);
  if (!socket.destroyed) socket.resetAndDestroy();
}
