/**
 * The fleet over Redis: a hash of the standing overrides is the truth, a channel tells of changes.
 *
 * A replica subscribes on a connection of its own, then reads the hash: at its start, after each
 * reconnect, and every `reconcileEvery`, so that a message lost on the way is made up for. What it
 * finds ended there it ends here, but only if it had come from the fleet. Without Redis each replica
 * keeps what it has.
 */
import { Duration, Effect, Layer, Option, Queue, Schema, type Scope, Stream } from "effect";
import { RedisConnection } from "../../connections/Redis.ts";
import { Fleet, isStanding, type Override } from "../Fleet.ts";

export interface FleetOptions {
  /** Only overrides of this service's breakers are sent and obeyed. */
  readonly service: string;
  /** Pub/sub channel; the hash is this with `:` and the service behind it [amicis:overrides]. */
  readonly channel?: string;
  /** Time between two readings of the hash [30 seconds]. */
  readonly reconcileEvery?: Duration.DurationInput;
  /** Most standing overrides that are obeyed, whatever Redis holds [10,000]. */
  readonly capacity?: number;
}

/** The fleet of all replicas of one service that share this Redis. */
export const layer = (
  options: FleetOptions,
): Layer.Layer<Fleet, never, RedisConnection> => Layer.scoped(Fleet, make(options));

const ActionSchema = Schema.Literal("open", "close", "reset", "disable", "observe", "auto");

const Message = Schema.parseJson(Schema.Struct({
  /** Who sent it, so that a replica does not obey itself. */
  replica: Schema.String,
  service: Schema.String,
  breaker: Schema.String,
  action: ActionSchema,
}));

const decode = Schema.decodeUnknownOption(Message);
const decodeAction = Schema.decodeUnknownOption(ActionSchema);

/** What the subscriber has to see to, in order. */
type News = { readonly _tag: "Message"; readonly text: string } | { readonly _tag: "Reconcile" };

/** Milliseconds until a failed subscription or reading is tried again. */
const retryAfter = 1_000;

const reconcile: News = { _tag: "Reconcile" };

const make = (
  options: FleetOptions,
): Effect.Effect<typeof Fleet.Service, never, RedisConnection | Scope.Scope> =>
  Effect.gen(function* () {
    const redis = yield* RedisConnection;
    const channel = options.channel ?? "amicis:overrides";
    const hash = `${channel}:${options.service}`;
    const replica = yield* Effect.sync(() => crypto.randomUUID());
    const capacity = options.capacity ?? 10_000;
    /** Standing overrides that came from the fleet and hold here, by breaker. */
    const applied = new Map<string, Override["action"]>();

    /** `close` ends a forced opening, but leaves the modes `disable` and `observe` as they are. */
    const isEnded = ({ breaker, action }: Override): boolean =>
      action !== "close" || applied.get(breaker) === "open";

    const hasRoom = (breaker: string): boolean => applied.has(breaker) || applied.size < capacity;

    const remember = (override: Override): void => {
      if (isStanding(override.action)) {
        if (hasRoom(override.breaker)) applied.set(override.breaker, override.action);
      } else if (isEnded(override)) applied.delete(override.breaker);
    };

    const publish = (override: Override) => {
      const { breaker, action } = override;
      const message = JSON.stringify({ replica, service: options.service, breaker, action });
      return redis.run("redis_publish", (client) => {
        // One transaction: whoever reads the hash after the message finds it there.
        const together = client.multi();
        if (isStanding(action)) together.hset(hash, breaker, action);
        else if (isEnded(override)) together.hdel(hash, breaker);
        return together.publish(channel, message).exec().then(failOnError);
      }).pipe(Effect.tap(() => Effect.sync(() => remember(override))), Effect.asVoid);
    };

    /** The truth in Redis, as what has to change here. */
    const readHash = Effect.gen(function* () {
      const found = yield* redis.run("redis_hgetall", (client) => client.hgetall(hash));
      const standing = new Map<string, Override["action"]>();
      for (const [breaker, value] of Object.entries(found)) {
        const action = Option.filter(decodeAction(value), isStanding);
        if (standing.size >= capacity) break;
        if (Option.isSome(action)) standing.set(breaker, action.value);
      }
      const changes: Array<Override> = [];
      for (const breaker of applied.keys()) {
        if (!standing.has(breaker)) changes.push({ breaker, action: "auto" });
      }
      for (const [breaker, action] of standing) {
        if (applied.get(breaker) !== action) changes.push({ breaker, action });
      }
      changes.forEach(remember);
      return changes;
    });

    const obey = (text: string): Effect.Effect<ReadonlyArray<Override>> => {
      const message = decode(text);
      if (message._tag === "None") {
        return Effect.as(Effect.logWarning("Fleet message not understood"), []);
      }
      const { breaker, action } = message.value;
      const isForUs = message.value.service === options.service &&
        message.value.replica !== replica;
      if (!isForUs || (isStanding(action) && !hasRoom(breaker))) return Effect.succeed([]);
      remember({ breaker, action });
      return Effect.succeed([{ breaker, action }]);
    };

    const news = yield* Effect.acquireRelease(Queue.sliding<News>(1_024), Queue.shutdown);
    const subscriber = yield* redis.open({ autoResubscribe: false });
    subscriber.on("message", (_channel: string, text: string) => {
      Queue.unsafeOffer(news, { _tag: "Message", text });
    });
    let isSubscribed = false;
    /** Something failed and is tried again before its time. */
    let isDue = false;
    subscriber.on("close", () => isSubscribed = false);
    const subscribe = () => {
      subscriber.subscribe(channel).then(
        () => {
          isSubscribed = true;
          Queue.unsafeOffer(news, reconcile);
        },
        () => isDue = true,
      );
    };
    subscriber.on("ready", subscribe);
    const every = Duration.toMillis(options.reconcileEvery ?? "30 seconds");
    const step = Math.min(every, retryAfter);
    let waited = 0;
    const tick = Effect.sync(() => {
      waited += step;
      if (!isDue && waited < every) return;
      isDue = false;
      waited = 0;
      if (!isSubscribed && subscriber.status === "ready") subscribe();
      Queue.unsafeOffer(news, reconcile);
    });
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Effect.sleep(step), tick)));

    const handle = (news: News): Effect.Effect<ReadonlyArray<Override>> => {
      if (news._tag === "Message") return obey(news.text);
      return Effect.catchAll(readHash, (error) => {
        isDue = true;
        return Effect.as(Effect.logDebug("Fleet overrides not read", error), []);
      });
    };

    return {
      publish,
      overrides: Stream.fromQueue(news).pipe(
        Stream.mapEffect(handle),
        Stream.flattenIterables,
      ),
    };
  });

/** A command of a transaction fails by itself; `exec` only tells. */
const failOnError = (results: ReadonlyArray<readonly [Error | null, unknown]> | null): void => {
  if (results === null) throw new Error("Transaction was discarded");
  for (const [error] of results) if (error !== null) throw error;
};
