/**
 * What the status page shows, as server-sent events shared by all who look.
 *
 * One ticker for all viewers, none without any; each picture is encoded once. A viewer who reads too
 * slowly misses pictures and finally his connection, never slowing the others; the browser comes
 * back by itself. Changes are kept in a small ring, so that a new viewer sees what just happened.
 */
import { Clock, Context, Duration, Effect, Fiber, Layer, Runtime, type Scope } from "effect";
import { Lifecycle } from "../http/Lifecycle.ts";
import type { CircuitBreaker, Snapshot, StateChange } from "../resilience/CircuitBreaker.ts";
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

/** Most breakers in one picture; those that somebody should look at come first. */
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
    /** Names in the last picture, which are kept in the next one if there is a choice. */
    let shown: ReadonlySet<string> = new Set();
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
      const all = yield* Effect.forEach(yield* breakers, look);
      const at = yield* Clock.currentTimeMillis;
      const dependencies = yield* health.dependencies;
      for (const { name, isConnected } of dependencies) {
        const before = connections.get(name);
        connections.set(name, isConnected);
        if (before !== undefined && before !== isConnected) {
          announce({ dependency: name, isConnected, at });
        }
      }
      const needed = new Set(dependencies.map(({ name }) => name));
      const chosen = choose(all, needed, shown);
      shown = new Set(chosen.map(({ breaker }) => breaker.name));
      return event("picture", {
        service,
        version,
        hasAdmin,
        startedAt,
        at,
        lifecycle: yield* lifecycle.state,
        readiness: yield* health.readiness,
        dependencies,
        ...tally(all),
        breakers: yield* Effect.forEach(chosen, describe),
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

/** A breaker and what it looks like. */
interface Look {
  readonly breaker: CircuitBreaker;
  readonly snapshot: Snapshot;
}

const look = (breaker: CircuitBreaker): Effect.Effect<Look> =>
  Effect.map(breaker.snapshot, (snapshot) => ({ breaker, snapshot }));

/** How many there are of each kind that the page tells apart, listed or not. */
const tally = (all: ReadonlyArray<Look>) => {
  const counted = { total: all.length, open: 0, halfOpen: 0, manual: 0 };
  for (const { snapshot: { state, mode } } of all) {
    if (state === "open") counted.open += 1;
    if (state === "half-open") counted.halfOpen += 1;
    if (mode !== "auto") counted.manual += 1;
  }
  return counted;
};

/**
 * The ones to list: those that are not closed, those that an operator has set, those that the whole
 * service depends on, those that were listed before, and others while there is room.
 */
const choose = (
  all: ReadonlyArray<Look>,
  needed: ReadonlySet<string>,
  shown: ReadonlySet<string>,
): ReadonlyArray<Look> => {
  if (all.length <= maxListed) return all;
  const ranks: ReadonlyArray<Array<Look>> = [[], [], [], [], []];
  const rankOf = ({ snapshot: { name, state, mode } }: Look): number => {
    if (state !== "closed") return 0;
    if (mode !== "auto") return 1;
    if (needed.has(name)) return 2;
    return shown.has(name) ? 3 : 4;
  };
  for (const one of all) ranks[rankOf(one)]?.push(one);
  return ranks.flat().slice(0, maxListed);
};

const describe = ({ breaker, snapshot }: Look) =>
  Effect.map(breaker.totals, (totals) => ({
    ...snapshot,
    successes: totals.successes,
    failures: totals.failures,
    neutral: totals.neutral,
    timeouts: totals.timeouts,
  }));
