/** What all requests of one server share. */
import {
  type Cause,
  Context,
  Effect,
  FiberRef,
  FiberRefs,
  Runtime,
  RuntimeFlags,
  Tracer,
} from "effect";
import type { Fiber } from "effect";
import * as Deadline from "../resilience/Deadline.ts";
import type { Cors } from "./Cors.ts";
import type { InFlight } from "./InFlight.ts";
import type { Lifecycle } from "./Lifecycle.ts";
import type { OpenStreams } from "./OpenStreams.ts";
import { RequestContext } from "./RequestContext.ts";
import type { Router } from "./Router.ts";
import type { Route } from "./RouteTable.ts";
import type { ServerSpans } from "./ServerSpans.ts";

/** One answered request, for the access log and the metrics. */
export interface Done {
  readonly service: string;
  /** One of the standard methods, else `OTHER`: fit for a metric label. */
  readonly method: string;
  /** As declared, parameters as `:name`; `unmatched` where there is nothing. */
  readonly route: string;
  /** 499 when the caller went away before there was an answer. */
  readonly status: number;
  readonly durationMs: number;
  readonly correlationId: string;
  /** The request's span; `null` when it was not traced. */
  readonly span: Tracer.AnySpan | null;
}

/** What all requests of one server share. */
export interface Serving {
  readonly service: string;
  readonly router: Router<Route>;
  readonly cors: Cors;
  readonly runtime: Runtime.Runtime<unknown>;
  /** Milliseconds for a whole request; `Infinity` for no limit. */
  readonly timeout: number;
  /** What turns `performance.now` into monotonic milliseconds of Effect's clock. */
  readonly clockOffset: number;
  readonly maxBodyBytes: number;
  readonly maxInFlight: number;
  /** The sentence of a 503 that the server itself gives. */
  readonly unavailable: string;
  readonly observe: (done: Done) => void;
  readonly lifecycle: Lifecycle["Type"];
  readonly inFlight: InFlight;
  readonly streams: OpenStreams;
  /** Makes the spans of requests; `undefined` when they are not traced. */
  readonly spans: ServerSpans | undefined;
}

/** Without counting fibers in Effect's own metrics, which nobody reads here. */
export const withoutFiberMetrics = <R>(runtime: Runtime.Runtime<R>): Runtime.Runtime<R> =>
  Runtime.disableRuntimeFlag(runtime, RuntimeFlags.RuntimeMetrics);

/** Starts a fiber of this request; it runs until it first has to wait before this returns. */
export const fork = <A, E>(
  runtime: Runtime.Runtime<unknown>,
  context: RequestContext,
  effect: Effect.Effect<A, E, unknown>,
): Fiber.RuntimeFiber<A, E> =>
  Runtime.runFork(runtime, effect, {
    // One copy of the map for both, where `Effect.locally` would wrap the handler twice.
    updateRefs: (refs, fiberId) => {
      const locals = new Map(refs.locals);
      locals.set(RequestContext.current, [[fiberId, context]]);
      locals.set(Deadline.current, [[fiberId, context.deadline]]);
      if (context.span !== null) {
        const services = Context.add(runtime.context, Tracer.ParentSpan, context.span);
        locals.set(FiberRef.currentContext, [[fiberId, services]]);
      }
      return FiberRefs.unsafeMake(locals);
    },
  });

/** A defect is for the log alone, with the correlation id that the caller was given. */
export const logDefect = (
  runtime: Serving["runtime"],
  context: RequestContext,
  route: string,
  cause: Cause.Cause<unknown>,
): void => {
  fork(runtime, context, Effect.annotateLogs(Effect.logError("Request failed", cause), { route }));
};
