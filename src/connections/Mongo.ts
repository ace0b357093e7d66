/**
 * One MongoDB client for the process, connected in the background.
 *
 * Building the layer never waits for the server and never fails because it is away. Until the first
 * connection stands every call fails at once; afterwards the driver reconnects by itself and a call
 * waits for a server at most half of `timeout`. Reads are not retried here: `Retry` does that.
 */
import {
  Context,
  Data,
  Duration,
  Effect,
  Layer,
  Queue,
  Redacted,
  type Scope,
  Stream,
  SubscriptionRef,
} from "effect";
import { type Db, MongoClient, type MongoClientOptions } from "mongodb";
import {
  type DependencyFailure,
  PermanentFailure,
  TransientFailure,
} from "../resilience/DependencyFailure.ts";
import { dependency, fromMongo } from "./MongoFailure.ts";
import { backoff } from "./Reconnect.ts";

/** What the client needs to know; names of the driver's own settings in the URI win over these. */
export interface MongoOptions {
  /** `mongodb://…` or `mongodb+srv://…`; secret, for it may hold a password. */
  readonly uri: Redacted.Redacted<string>;
  readonly database: string;
  /** The longest a single answer may take; waiting for a server or a connection gets half of it. */
  readonly timeout: Duration.DurationInput;
  /** The most connections to one server [100]. */
  readonly maxPoolSize?: number;
}

/** The connection string is one the driver refuses; `problem` is safe to print. */
export class InvalidMongoUri extends Data.TaggedError("InvalidMongoUri")<{
  readonly problem: string;
}> {
  override get message(): string {
    return `Invalid MongoDB connection string: ${this.problem}`;
  }
}

/** The MongoDB database, as far as it can be reached. */
export class MongoConnection extends Context.Tag("connections/MongoConnection")<MongoConnection, {
  /** The database, or at once the reason why there has been no connection yet. */
  readonly db: Effect.Effect<Db, DependencyFailure>;
  /**
   * Makes one driver call, its errors classified under the operation's name. Hand `signal` to the
   * driver: interrupting the effect aborts the call, which costs its connection.
   */
  readonly run: <A>(
    operation: string,
    call: (db: Db, signal: AbortSignal) => Promise<A>,
  ) => Effect.Effect<A, DependencyFailure>;
  /** Asks the server for a sign of life, for at most `timeout`; truthful also with a full pool. */
  readonly ping: Effect.Effect<void, DependencyFailure>;
  /**
   * Runs a task in the background after the first connection and again each time the server comes
   * back, until the scope closes. Transient failures are tried again, permanent ones are logged.
   */
  readonly onConnected: (
    name: string,
    task: Effect.Effect<void, DependencyFailure>,
  ) => Effect.Effect<void, never, Scope.Scope>;
}>() {
  /** Connects for as long as the layer lives. Fails only on a connection string that is none. */
  static readonly layer = (options: MongoOptions): Layer.Layer<MongoConnection, InvalidMongoUri> =>
    Layer.scoped(this, make(options));
}

/** How long closing the client may take before it is left to the end of the process. */
const closeTimeout = Duration.seconds(2);

const make = Effect.fnUntraced(function* (options: MongoOptions) {
  const timeout = Duration.decode(options.timeout);
  const client = yield* makeClient(options, Duration.toMillis(timeout));
  const database = client.db(options.database);

  // Driver events are synchronous callbacks; the queue brings them back into the fiber's world.
  const sightings = yield* Queue.unbounded<boolean>();
  let serverKnown = false;
  client.on("topologyDescriptionChanged", ({ newDescription }) => {
    const known = [...newDescription.servers.values()].some(({ type }) => type !== "Unknown");
    if (known !== serverKnown) Queue.unsafeOffer(sightings, known);
    serverKnown = known;
  });
  let busy = 0;
  client.on("connectionCheckedOut", () => busy++);
  client.on("connectionCheckedIn", () => busy--);
  const isPoolFull = () => busy >= (client.options.maxPoolSize || Infinity);

  let connected = false;
  let lastFailure: DependencyFailure = new TransientFailure({
    dependency,
    operation: "mongodb_connect",
    reason: "still connecting",
    timedOut: false,
    cause: undefined,
  });
  /** Grows each time a server is found again; 0 before the first connection. */
  const arrivals = yield* SubscriptionRef.make(0);
  const arrived = SubscriptionRef.update(arrivals, (count) => count + 1).pipe(
    Effect.zipRight(Effect.logInfo("Dependency connected")),
    Effect.annotateLogs({ dependency }),
  );

  let closed = false;
  const connectOnce = Effect.tryPromise({
    // An attempt that outlives the scope would leave its monitors running: closed again below.
    try: () => client.connect().finally(() => closed ? client.close() : undefined),
    catch: (error) => fromMongo("mongodb_connect", error),
  });
  yield* Effect.addFinalizer(() => {
    closed = true;
    return Effect.tryPromise(() => client.close()).pipe(
      Effect.timeout(closeTimeout),
      Effect.catchAll(() => Effect.logDebug("MongoDB client did not close in time")),
    );
  });
  yield* connectOnce.pipe(
    Effect.tapError((failure) => {
      const news = failure.reason !== lastFailure.reason;
      lastFailure = failure;
      return news ? unreachable(failure.reason) : Effect.void;
    }),
    Effect.retry(backoff),
    Effect.zipRight(Effect.suspend(() => {
      connected = true;
      // What was seen on the way to the first connection is part of it.
      return Effect.zipRight(Queue.takeAll(sightings), arrived);
    })),
    Effect.zipRight(
      Stream.fromQueue(sightings).pipe(
        Stream.runForEach((known) => known ? arrived : unreachable("no server reachable")),
      ),
    ),
    Effect.forkScoped,
  );

  const run = <A>(operation: string, call: (db: Db, signal: AbortSignal) => Promise<A>) =>
    Effect.suspend(() =>
      connected
        ? Effect.tryPromise({
          try: (signal) => call(database, signal),
          catch: (error) => fromMongo(operation, error),
        })
        : Effect.fail(notConnected(operation, lastFailure))
    );

  return MongoConnection.of({
    db: Effect.suspend(() =>
      connected
        ? Effect.succeed(database)
        : Effect.fail(notConnected("mongodb_connect", lastFailure))
    ),
    run,
    ping: run("mongodb_ping", (db, signal) => db.command({ ping: 1 }, { signal })).pipe(
      Effect.timeoutFail({
        duration: timeout,
        onTimeout: () =>
          new TransientFailure({
            dependency,
            operation: "mongodb_ping",
            reason: "no answer in time",
            timedOut: true,
            cause: undefined,
          }),
      }),
      // A full pool says that we are busy. The driver's monitor has a connection of its own and
      // keeps `serverKnown` true only while its heartbeats are answered.
      Effect.catchIf(
        (failure) => foundNoConnection(failure) && isPoolFull() && serverKnown,
        () => Effect.void,
      ),
      Effect.asVoid,
    ),
    onConnected: (name, task) =>
      arrivals.changes.pipe(
        Stream.filter((count) => count > 0),
        Stream.runForEach(() =>
          task.pipe(
            Effect.retry({
              schedule: backoff,
              while: (failure) => failure._tag === "TransientFailure",
            }),
            Effect.catchAll((failure) =>
              Effect.logError("Background task failed").pipe(
                Effect.annotateLogs({ dependency, task: name, error: failure.reason }),
              )
            ),
          )
        ),
        Effect.forkScoped,
        Effect.asVoid,
      ),
  });
});

const unreachable = (reason: string) =>
  Effect.logWarning("Dependency unreachable").pipe(Effect.annotateLogs({ dependency, reason }));

const foundNoConnection = (failure: DependencyFailure): boolean =>
  failure.cause instanceof Error && failure.cause.name === "MongoWaitQueueTimeoutError";

/** The reason why there is no connection, under the name of the call that found none. */
const notConnected = (operation: string, last: DependencyFailure): DependencyFailure => {
  const { cause } = last;
  const reason = `not connected: ${last.reason}`;
  return last._tag === "TransientFailure"
    ? new TransientFailure({ dependency, operation, reason, timedOut: last.timedOut, cause })
    : new PermanentFailure({ dependency, operation, reason, answered: last.answered, cause });
};

const makeClient = (options: MongoOptions, timeoutMs: number) =>
  Effect.try({
    try: () => {
      const uri = Redacted.value(options.uri);
      return new MongoClient(uri, withoutThoseIn(uri, driverSettings(options, timeoutMs)));
    },
    catch: (error) => new InvalidMongoUri({ problem: problemOf(error) }),
  });

/** What is wrong with a connection string, safe to print; `undefined` when the driver takes it. */
export const uriProblem = (uri: Redacted.Redacted<string>): string | undefined => {
  try {
    new MongoClient(Redacted.value(uri));
    return undefined;
  } catch (error) {
    return problemOf(error);
  }
};

const driverSettings = (options: MongoOptions, timeoutMs: number): MongoClientOptions => ({
  appName: "amicis",
  // `timeoutMS` does nothing in this driver: each stage needs its own limit.
  serverSelectionTimeoutMS: Math.ceil(timeoutMs / 2),
  waitQueueTimeoutMS: Math.ceil(timeoutMs / 2),
  connectTimeoutMS: timeoutMs,
  socketTimeoutMS: timeoutMs,
  // A server that came back is noticed within this time even if nobody asks.
  heartbeatFrequencyMS: 2_000,
  maxPoolSize: options.maxPoolSize ?? 100,
  // Load balancers drop connections that idle for some minutes without telling either side.
  maxIdleTimeMS: 120_000,
  retryReads: false,
});

/** Options given to the driver beat the URI's, so those that the URI sets are left out. */
const withoutThoseIn = (uri: string, settings: MongoClientOptions): MongoClientOptions => {
  const query = uri.split("?", 2)[1] ?? "";
  const set = new Set([...new URLSearchParams(query).keys()].map((name) => name.toLowerCase()));
  return Object.fromEntries(
    Object.entries(settings).filter(([name]) => !set.has(name.toLowerCase())),
  );
};

/** The driver's complaint without what it may quote: only its list of unknown options is kept. */
const problemOf = (error: unknown): string => {
  const message = error instanceof Error ? error.message : "";
  if (/^options? [\w, ]{1,200} (is|are) not supported$/i.test(message)) return message;
  return "expected mongodb://host[:port][,…]/[database][?options] or mongodb+srv://host/…";
};
