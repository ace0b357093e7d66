/**
 * One Redis client for the process, connected in the background and failing fast.
 *
 * Building the layer never waits for the server and never fails because it is away. While there is
 * no connection every call fails at once: Redis is a cache, and waiting for a cache is a loss.
 */
import { Context, Duration, Effect, Layer, Queue, Redacted, type Scope } from "effect";
import { type Redis, type RedisOptions as DriverOptions } from "ioredis";
import {
  type DependencyFailure,
  PermanentFailure,
  TransientFailure,
} from "../resilience/DependencyFailure.ts";
import * as Immediate from "../resilience/Immediate.ts";
import { BatchingRedis } from "./BatchingRedis.ts";
import { CallDeadlines } from "./CallDeadlines.ts";
import { delayOf, maxDelay } from "./Reconnect.ts";
import { dependency, fromRedis } from "./RedisFailure.ts";
import { type InvalidRedisUrl, parseRedisUrl, type RedisAddress } from "./RedisUrl.ts";

/** What the client needs to know. */
export interface RedisOptions {
  /** `redis://…` or `rediss://…`; secret, for it may hold a password. */
  readonly url: Redacted.Redacted<string>;
  /** The longest a single answer may take [250 ms]. */
  readonly timeout?: Duration.DurationInput;
  /** Certificates (PEM) to trust for `rediss://` in place of the system's. */
  readonly ca?: string;
}

/** The driver's settings; the shape of its replies is not one of them. */
export type ClientOptions = Omit<DriverOptions, "replyMapping">;

/** The Redis server, as far as it can be reached. */
export class RedisConnection extends Context.Tag("connections/RedisConnection")<RedisConnection, {
  /** The client itself; its errors are raw and its calls have no deadline, so prefer `run`. */
  readonly client: Redis;
  /**
   * Makes one driver call with the deadline of `timeout`, its errors classified under the
   * operation's name. The answer to an interrupted call is thrown away.
   */
  readonly run: <A>(
    operation: string,
    call: (client: Redis) => Promise<A>,
  ) => Effect.Effect<A, DependencyFailure>;
  /** Asks the server for a sign of life. */
  readonly ping: Effect.Effect<void, DependencyFailure>;
  readonly status: Effect.Effect<"connected" | "disconnected">;
  /**
   * A further connection to the same server, for a use that cannot share one (subscriptions). It
   * reconnects by itself until the scope closes; its owner listens to its events.
   */
  readonly open: (overrides: ClientOptions) => Effect.Effect<Redis, never, Scope.Scope>;
}>() {
  /** Connects for as long as the layer lives. Fails only on a URL that is none. */
  static readonly layer = (options: RedisOptions): Layer.Layer<RedisConnection, InvalidRedisUrl> =>
    Layer.scoped(this, make(options));
}

const defaultTimeout = Duration.millis(250);

const make = Effect.fnUntraced(function* (options: RedisOptions) {
  const address = yield* parseRedisUrl(Redacted.value(options.url));
  const settings = driverSettings(address, options);
  const open = (overrides: ClientOptions) => openClient({ ...settings, ...overrides });

  const client = yield* open({});
  let lastFailure: DependencyFailure = connectFailure("still connecting");
  // Driver events are synchronous callbacks; the queue brings them back into the fiber's world.
  const news = yield* Queue.unbounded<Effect.Effect<void>>();
  client.on("ready", () => {
    lastFailure = connectFailure("connection lost");
    Queue.unsafeOffer(news, Effect.logInfo("Dependency connected"));
  });
  client.on("error", (error: unknown) => {
    const failure = fromRedis("redis_connect", error);
    const isNews = failure.reason !== lastFailure.reason;
    lastFailure = failure;
    if (isNews) Queue.unsafeOffer(news, unreachable(failure.reason));
  });
  client.on("close", () => {
    if (lastFailure.reason === "connection lost") {
      Queue.unsafeOffer(news, unreachable(lastFailure.reason));
    }
  });
  yield* Queue.take(news).pipe(
    Effect.flatten,
    Effect.annotateLogs({ dependency }),
    Effect.forever,
    Effect.forkScoped,
  );

  const deadlines = new CallDeadlines(Duration.toMillis(options.timeout ?? defaultTimeout));
  yield* Effect.addFinalizer(() => Effect.sync(() => deadlines.clear()));

  const run = <A>(operation: string, call: (client: Redis) => Promise<A>) =>
    new Immediate.Wait<A, DependencyFailure, never>((resume) => {
      // Asked here, not left to ioredis: it would build a pipeline first and hide the reason.
      if (client.status !== "ready") {
        resume(Effect.fail(notConnected(operation, lastFailure)));
        return;
      }
      const deadline = deadlines.start(() => resume(Effect.fail(noAnswer(operation))));
      const fail = (error: unknown) => {
        deadline.ended = true;
        resume(Effect.fail(fromRedis(operation, error)));
      };
      try {
        call(client).then((value) => {
          deadline.ended = true;
          resume(Effect.succeed(value));
        }, fail);
      } catch (error) {
        fail(error);
      }
    });

  return RedisConnection.of({
    client,
    run,
    ping: Effect.asVoid(run("redis_ping", (client) => client.ping())),
    status: Effect.sync(() => client.status === "ready" ? "connected" : "disconnected"),
    open,
  });
});

/** A client that connects in the background, and is closed with the scope. */
const openClient = Effect.fnUntraced(function* (settings: ClientOptions) {
  const client = new BatchingRedis(settings);
  // Without a listener ioredis prints errors to the console; whoever cares adds another. The
  // promise of `connect` tells the same errors again.
  client.on("error", () => {});
  const connect = Effect.ignore(Effect.tryPromise(() => client.connect()));
  // `retryStrategy` covers lost and refused connections. A connect that throws (no descriptors
  // left) ends the client for good instead, so it is started again here.
  const ends = yield* Queue.sliding<void>(1);
  client.on("end", () => Queue.unsafeOffer(ends, undefined));
  yield* Effect.addFinalizer(() => close(client));
  yield* connect.pipe(
    Effect.zipRight(Queue.take(ends)),
    Effect.zipRight(Effect.sleep(maxDelay)),
    Effect.forever,
    Effect.forkScoped,
  );
  return client;
});

/** Says goodbye if anybody listens, then waits for the socket to close, 1.25 s in all at most. */
const close = (client: Redis): Effect.Effect<void> =>
  Effect.promise(async () => {
    const isOpen = openStates.has(client.status);
    // A goodbye that is not answered ends in a hang-up.
    client.options.commandTimeout = disconnectTimeout;
    await client.quit().catch(() => client.disconnect());
    // Without a connection ioredis says no "end", but still runs its timer of that length.
    const limit = isOpen ? closeTimeout : disconnectTimeout;
    if (client.status === "end") return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limit);
      client.once("end", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  });

const openStates: ReadonlySet<string> = new Set(["connecting", "connect", "ready"]);

/** Milliseconds that a hung-up socket may take to close before it is destroyed. */
const disconnectTimeout = 250;

/** Milliseconds that a client may take to close in all. */
const closeTimeout = 1_000;

const driverSettings = (
  { tls, ...address }: RedisAddress,
  options: RedisOptions,
): ClientOptions => ({
  ...address,
  ...(tls === undefined
    ? {}
    : { tls: { ...tls, ...(options.ca === undefined ? {} : { ca: options.ca }) } }),
  connectionName: "amicis",
  disableClientInfo: true,
  lazyConnect: true,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  connectTimeout: 1_000,
  disconnectTimeout,
  // A connection on which an answer is this late is given up. `commandTimeout` is not used: it
  // costs a timer a command, and does not count the wait behind a pipeline under way.
  socketTimeout: 2_000,
  // While a server loads its data it is asked again at least this often.
  maxLoadingRetryTime: 1_000,
  enableAutoPipelining: true,
  retryStrategy: delayOf,
});

const unreachable = (reason: string) =>
  Effect.annotateLogs(Effect.logWarning("Dependency unreachable"), { reason });

const noAnswer = (operation: string) =>
  new TransientFailure({
    dependency,
    operation,
    reason: "no answer in time",
    timedOut: true,
    cause: undefined,
  });

const connectFailure = (reason: string) =>
  new TransientFailure({
    dependency,
    operation: "redis_connect",
    reason,
    timedOut: false,
    cause: undefined,
  });

/** The reason why there is no connection, under the name of the call that found none. */
const notConnected = (operation: string, last: DependencyFailure): DependencyFailure => {
  const { cause } = last;
  const reason = `not connected: ${last.reason}`;
  return last._tag === "TransientFailure"
    ? new TransientFailure({ dependency, operation, reason, timedOut: last.timedOut, cause })
    : new PermanentFailure({ dependency, operation, reason, answered: last.answered, cause });
};
