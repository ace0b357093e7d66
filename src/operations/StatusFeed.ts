/**
 * What the status page shows, as server-sent events shared by all who look.
 *
 * One ticker for all viewers, none without any; each picture is encoded once. A viewer who reads too
 * slowly misses pictures and finally his connection, never slowing the others; the browser comes
 * back by itself. Changes are kept in a small ring, so that a new viewer sees what just happened.
 */
import { Clock, Context, Duration, Effect, Fiber, Layer, Runtime, type Scope } from "effect";
import { Lifecycle } from "../http/Lifecycle.ts";
import type { CircuitBreaker, StateChange } from "../resilience/CircuitBreaker.ts";
import { CircuitBreakers } from "../resilience/CircuitBreakers.ts";
import { Health } from "./Health.ts";

export interface StatusFeedOptions {
  readonly service: string;
  readonly version: string;
  /** Whether the page offers actions; each still asks for the admin token. */
  readonly hasAdmin: boolean;
  /** Most viewers at a time [50]. */
  readonly maxViewers?: number;
  /** Time between two pictures, which are also the connection's heartbeat [1 second]. */
  readonly interval?: Duration.DurationInput;
}

/** Most breakers in one picture; those that are not closed come first. */
const maxListed = 200;

/** Changes kept for new viewers. */
const maxChanges = 100;

/** Unread pieces after which a viewer is let go. */
const maxUnread = 32;

/** The source of `/status/events`. */
export class StatusFeed extends Context.Tag("operations/StatusFeed")<StatusFeed, {
  /** A new viewer's stream; `undefined` when there are too many. It ends when he goes away. */
  readonly open: Effect.Effect<ReadableStream<Uint8Array> | undefined>;
  readonly viewers: () => number;
}>() {
  static readonly layer = (
    options: StatusFeedOptions,
  ): Layer.Layer<StatusFeed, never, CircuitBreakers | Health | Lifecycle> =>
    Layer.scoped(this, make(options));
}

const encoder = new TextEncoder();

const event = (name: string, data: unknown): Uint8Array =>
  encoder.encode(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);

/** One line of the page's event log. */
type LogEntry =
  | StateChange
  | { readonly dependency: string; readonly isConnected: boolean; readonly at: number };

type Viewer = ReadableStreamDefaultController<Uint8Array>;

const make = (
  options: StatusFeedOptions,
): Effect.Effect<
  Context.Tag.Service<StatusFeed>,
  never,
  CircuitBreakers | Health | Lifecycle | Scope.Scope
> =>
  Effect.gen(function* () {
    const { breakers, unsafeOnChange } = yield* CircuitBreakers;
    const health = yield* Health;
    const lifecycle = yield* Lifecycle;
    const runFork = Runtime.runFork(yield* Effect.runtime<never>());
    const maxViewers = options.maxViewers ?? 50;
    const interval = Duration.decode(options.interval ?? "1 second");
    const { service, version, hasAdmin } = options;

    const viewers = new Set<Viewer>();
    const ring: Array<LogEntry> = [];
    const connections = new Map<string, boolean>();
    let ticker: Fiber.RuntimeFiber<never> | undefined;
    const startedAt = yield* Clock.currentTimeMillis;

    const leave = (viewer: Viewer): void => {
      if (!viewers.delete(viewer) || viewers.size > 0 || ticker === undefined) return;
      runFork(Fiber.interrupt(ticker));
      ticker = undefined;
      // While nobody looks nothing is seen of the dependencies, so a difference has no known time.
      connections.clear();
    };

    const send = (viewer: Viewer, piece: Uint8Array): void => {
      if ((viewer.desiredSize ?? 0) > -maxUnread) return viewer.enqueue(piece);
      viewer.close();
      leave(viewer);
    };

    const announce = (entry: LogEntry): void => {
      ring.push(entry);
      if (ring.length > maxChanges) ring.shift();
      if (viewers.size === 0) return;
      const piece = event("change", entry);
      for (const viewer of [...viewers]) send(viewer, piece);
    };

    const picture = Effect.gen(function* () {
      const all = yield* breakers;
      const at = yield* Clock.currentTimeMillis;
      const dependencies = yield* health.dependencies;
      for (const { name, isConnected } of dependencies) {
        const before = connections.get(name);
        connections.set(name, isConnected);
        if (before !== undefined && before !== isConnected) {
          announce({ dependency: name, isConnected, at });
        }
      }
      return event("picture", {
        service,
        version,
        hasAdmin,
        startedAt,
        at,
        lifecycle: yield* lifecycle.state,
        readiness: yield* health.readiness,
        dependencies,
        total: all.length,
        breakers: yield* Effect.forEach(listed(all), describe),
      });
    });

    const tick = Effect.map(picture, (piece) => {
      for (const viewer of [...viewers]) {
        // A picture is only worth the newest one: who has not read the last waits for the next.
        if ((viewer.desiredSize ?? 0) > 0) send(viewer, piece);
      }
    });

    const open = Effect.gen(function* () {
      const first = yield* picture;
      if (viewers.size >= maxViewers) return undefined;
      let self: Viewer | undefined;
      const stream = new ReadableStream<Uint8Array>({
        start: (controller) => {
          self = controller;
          viewers.add(controller);
          controller.enqueue(encoder.encode("retry: 2000\n\n"));
          controller.enqueue(event("history", ring));
          controller.enqueue(first);
        },
        cancel: () => {
          if (self !== undefined) leave(self);
        },
      }, { highWaterMark: 4 });
      ticker ??= runFork(Effect.forever(Effect.zipRight(Effect.sleep(interval), tick)));
      return stream;
    });

    const remove = unsafeOnChange(announce);
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        remove();
        for (const viewer of [...viewers]) {
          viewer.close();
          leave(viewer);
        }
      })
    );
    return StatusFeed.of({ open, viewers: () => viewers.size });
  });

const listed = (all: ReadonlyArray<CircuitBreaker>): ReadonlyArray<CircuitBreaker> => {
  if (all.length <= maxListed) return all;
  const isClosed = (breaker: CircuitBreaker) => breaker.unsafeState() === "closed";
  return [...all.filter((breaker) => !isClosed(breaker)), ...all.filter(isClosed)]
    .slice(0, maxListed);
};

const describe = (breaker: CircuitBreaker) =>
  Effect.zipWith(breaker.snapshot, breaker.totals, (snapshot, totals) => ({
    ...snapshot,
    successes: totals.successes,
    failures: totals.failures,
    neutral: totals.neutral,
    timeouts: totals.timeouts,
  }));
