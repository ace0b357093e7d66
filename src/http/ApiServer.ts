/**
 * `HttpApi` values on `Deno.serve`.
 *
 * The scope owns the listener. Closing it drains: the listener stays open, readiness says so, and
 * what is in flight may end within the grace; then the rest is answered 503 and the listener goes.
 * `shutdown()` is never followed by `abort()`, which kills the process: it is raced with the time.
 */
import { Cause, Duration, Effect, type Scope } from "effect";
import { monotonicMillis } from "../resilience/Monotonic.ts";
import * as Cors from "./Cors.ts";
import { dispatch } from "./Dispatch.ts";
import type { Gate } from "./Gate.ts";
import { InFlight } from "./InFlight.ts";
import { Lifecycle } from "./Lifecycle.ts";
import * as Listener from "./Listener.ts";
import { OpenStreams } from "./OpenStreams.ts";
import * as Problem from "./Problem.ts";
import { RequestContext } from "./RequestContext.ts";
import * as RouteTable from "./RouteTable.ts";
import { ServerSpans } from "./ServerSpans.ts";
import { type Done, logDefect, type Serving, withoutFiberMetrics } from "./Serving.ts";

export { handlers, type Implementation } from "./Handlers.ts";
export type { Done } from "./Serving.ts";
export { ListenFailed } from "./Listener.ts";
export type { Served } from "./RouteTable.ts";

/** What a server serves, and within which limits. */
export interface Options<R> {
  /** `auth` or `routing`: in the context of every request. */
  readonly service: string;
  readonly hostname: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly apis: ReadonlyArray<RouteTable.Served<R>>;
  /** Implementations of the middleware that the apis carry, in the order in which they run. */
  readonly gates?: ReadonlyArray<Gate>;
  /** Origins whose pages may read the answers [`*`]. */
  readonly corsOrigins?: ReadonlyArray<string>;
  /** Time for a whole request, its body included [10 seconds]. */
  readonly requestTimeout?: Duration.DurationInput;
  /** Largest request body [16,384]. */
  readonly maxBodyBytes?: number;
  /** Most service requests worked on at a time; more are answered 503 [10,000]. */
  readonly maxInFlight?: number;
  /** Longest wait for what is in flight when the scope closes [20 seconds]. */
  readonly shutdownGrace?: Duration.DurationInput;
  /** Sentence of a 503 of the server itself [Service temporarily unavailable]. */
  readonly unavailable?: string;
  /** Makes a span of every request but those of operations, by the fiber's tracer [false]. */
  readonly tracing?: boolean;
  /** Called once for each answer, synchronously; what it throws is logged. */
  readonly observe?: (done: Done) => void;
}

/** A server that listens. */
export interface Listening {
  readonly hostname: string;
  readonly port: number;
  /** Requests that are being worked on now, those of operations included. */
  readonly inFlight: () => number;
}

/**
 * Listens until the scope closes. The services of the handlers are taken from the surroundings. A
 * listener for operations alone is to be opened first: then it closes last, and can be asked for
 * readiness while the service drains.
 */
export const serve = <R>(
  options: Options<R>,
): Effect.Effect<Listening, Listener.ListenFailed, R | Lifecycle | Scope.Scope> =>
  Effect.gen(function* () {
    const serving = yield* prepare(options);
    const { hostname, port } = yield* Listener.open({
      hostname: options.hostname,
      port: options.port,
      answer: (request) => dispatch(serving, request),
      onError: (error) => crashed(serving, error),
      beforeClose: drain(serving, Duration.toMillis(options.shutdownGrace ?? "20 seconds")),
    });
    return { hostname, port, inFlight: () => serving.inFlight.size };
  });

const prepare = <R>(options: Options<R>): Effect.Effect<Serving, never, R | Lifecycle> =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime<R | Lifecycle>();
    const lifecycle = yield* Lifecycle;
    const clock = yield* Effect.clock;
    const timeout = Duration.toMillis(options.requestTimeout ?? "10 seconds");
    const tracer = yield* Effect.tracer;
    return {
      service: options.service,
      router: RouteTable.make(options.apis, options.gates ?? []),
      cors: Cors.make(options.corsOrigins ?? ["*"]),
      // Handlers are given their services by this runtime; which ones is checked by `serve`.
      runtime: withoutFiberMetrics(runtime) as Serving["runtime"],
      timeout,
      clockOffset: monotonicMillis(clock) - performance.now(),
      maxBodyBytes: options.maxBodyBytes ?? 16_384,
      maxInFlight: options.maxInFlight ?? 10_000,
      unavailable: options.unavailable ?? "Service temporarily unavailable",
      observe: options.observe ?? (() => {}),
      lifecycle,
      inFlight: new InFlight(timeout),
      streams: new OpenStreams(),
      spans: options.tracing === true ? new ServerSpans(options.service, tracer, clock) : undefined,
    };
  });

/** The server's own code failed, outside of any handler: all that is left to say is so. */
const crashed = (serving: Serving, error: unknown): Response => {
  const correlationId = crypto.randomUUID();
  const context = new RequestContext(correlationId, serving.service, undefined, 0, Infinity);
  logDefect(serving.runtime, context, "unknown", Cause.die(error));
  const problem = new Problem.InternalServerError();
  return new Response(problem.json(correlationId), {
    status: problem.status,
    headers: {
      "content-type": Problem.contentType,
      "cache-control": "no-store",
      "x-correlation-id": correlationId,
      "x-content-type-options": "nosniff",
    },
  });
};

/** What is in flight ends, within the grace; open streams are ended. */
const drain = (serving: Serving, grace: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* serving.lifecycle.advance("draining");
    const idle = Effect.async<void>((resume) =>
      serving.inFlight.whenIdle(() => resume(Effect.void))
    );
    // A finalizer cannot be interrupted, but what it waits for has to be.
    yield* Effect.timeoutOption(Effect.interruptible(idle), grace);
    serving.inFlight.expireAll();
    serving.streams.endAll();
  });
