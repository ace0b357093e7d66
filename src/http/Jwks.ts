/**
 * The public keys of a token issuer, fetched from its key set.
 *
 * Keys that are known go on being used while the endpoint is down. A token that names an unknown key
 * causes a fetch (the issuer may have changed keys), but not more than one per cooldown for all
 * tokens together: so nothing has to be remembered of the keys that do not exist.
 */
import { Data, Duration, Effect, Either, type Scope } from "effect";
import { createLocalJWKSet, errors, type JSONWebKeySet } from "jose";
import type { CircuitBreaker, CircuitOpen } from "../resilience/CircuitBreaker.ts";
import { TransientFailure } from "../resilience/DependencyFailure.ts";
import { monotonicMillis } from "../resilience/Monotonic.ts";
import * as SingleFlight from "../resilience/SingleFlight.ts";

/** Where the keys come from, and how often. */
export interface Options {
  readonly url: string;
  /** Guards the fetches. */
  readonly breaker: CircuitBreaker;
  /** Time for one fetch [5 seconds]. */
  readonly timeout?: Duration.DurationInput;
  /** Age at which keys are fetched again, in the background [10 minutes]. */
  readonly freshFor?: Duration.DurationInput;
  /** Least time between two fetches that unknown keys or old age cause [30 seconds]. */
  readonly cooldown?: Duration.DurationInput;
}

/** Nothing can be said of a token now: its key is not known and cannot be fetched. */
export class KeysUnavailable extends Data.TaggedError("KeysUnavailable")<{
  readonly retryAfter: Duration.Duration;
  readonly cause: unknown;
}> {
  override get message(): string {
    return "Keys for verifying tokens are not available";
  }
}

/** A key set. */
export interface Jwks {
  /** Keys that fit the header of a token; several only if it names none, and maybe none. */
  readonly find: (
    header: { readonly alg: string; readonly kid?: string },
  ) => Effect.Effect<ReadonlyArray<CryptoKey>, KeysUnavailable>;
}

/** Largest key set accepted, in bytes. */
const maxBytes = 262_144;

type KeySet = ReturnType<typeof createLocalJWKSet>;

/** Fetches nothing before the first token. The scope ends a fetch in the background. */
export const make = (options: Options): Effect.Effect<Jwks, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope;
    const clock = yield* Effect.clock;
    const flights = yield* SingleFlight.make<string, KeySet, TransientFailure | CircuitOpen>();
    const freshFor = Duration.toMillis(options.freshFor ?? "10 minutes");
    const cooldown = Duration.toMillis(options.cooldown ?? "30 seconds");
    /** Monotonic milliseconds. */
    let fetchedAt = -Infinity;
    let attemptedAt = -Infinity;
    let keys: KeySet | undefined;
    let failure: TransientFailure | CircuitOpen | undefined;

    const fetchKeys = Effect.suspend(() => {
      attemptedAt = monotonicMillis(clock);
      return options.breaker.protect(download(options.url, options.timeout ?? "5 seconds"));
    }).pipe(
      Effect.tap((set) =>
        Effect.sync(() => {
          keys = set;
          fetchedAt = monotonicMillis(clock);
          failure = undefined;
        })
      ),
      Effect.tapError((error) =>
        Effect.suspend(() => {
          failure = error;
          if (error._tag === "CircuitOpen") return Effect.void;
          return Effect.logWarning("Key set not fetched", { error: error.message });
        })
      ),
    );
    const refresh = flights.run("keys", fetchKeys);

    /** Milliseconds until old age or an unknown key may cause a fetch again. */
    const cooling = () => attemptedAt + cooldown - monotonicMillis(clock);

    /** Without any keys every token asks for them, held back only by the breaker. */
    const unavailable = (cause: TransientFailure | CircuitOpen) =>
      new KeysUnavailable({
        cause,
        retryAfter: cause.retryAfter ??
          Duration.millis(keys === undefined ? 1_000 : Math.max(1_000, cooling())),
      });

    return {
      find: (header) =>
        Effect.gen(function* () {
          const known = keys ?? (yield* Effect.mapError(refresh, unavailable));
          if (monotonicMillis(clock) - fetchedAt >= freshFor && cooling() <= 0) {
            yield* Effect.forkIn(Effect.ignore(refresh), scope);
          }
          const found = yield* select(known, header);
          if (found.length > 0) return found;
          if (cooling() <= 0) {
            return yield* select(yield* Effect.mapError(refresh, unavailable), header);
          }
          // Down since the last fetch: it may be a new key as well as no key at all.
          return failure === undefined ? [] : yield* unavailable(failure);
        }),
    };
  });

const select = (
  keys: KeySet,
  header: { readonly alg: string; readonly kid?: string },
): Effect.Effect<ReadonlyArray<CryptoKey>> =>
  Effect.promise(async () => {
    try {
      return [await keys(header)];
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) return [];
      // A generator that gives those of the candidates that can be used.
      const candidates: Array<CryptoKey> = [];
      for await (const key of error) candidates.push(key);
      return candidates;
    }
  });

const failed = (reason: string, cause: unknown, timedOut = false) =>
  new TransientFailure({
    dependency: "jwks",
    operation: "jwks_fetch",
    reason,
    timedOut,
    cause,
  });

const download = (
  url: string,
  timeout: Duration.DurationInput,
): Effect.Effect<KeySet, TransientFailure> =>
  Effect.tryPromise({
    try: (signal) => fetchText(url, signal),
    catch: (cause) => failed(cause instanceof Refused ? cause.message : "connection failed", cause),
  }).pipe(
    Effect.flatMap((text) => Either.try({ try: () => parse(text), catch: malformed })),
    Effect.timeoutFail({
      duration: timeout,
      onTimeout: () => failed("no answer in time", undefined, true),
    }),
  );

/** Fetches a key set and forgets it: whether its endpoint does what it is for. */
export const reach = (url: string): Effect.Effect<void, TransientFailure> =>
  Effect.asVoid(download(url, "5 seconds"));

const malformed = (cause: unknown) => failed("answer is not a key set", cause);

/** The endpoint answered, with something that cannot be used. */
class Refused extends Error {}

const fetchText = async (url: string, signal: AbortSignal): Promise<string> => {
  const response = await fetch(url, {
    signal,
    redirect: "manual",
    headers: { accept: "application/jwk-set+json, application/json" },
  });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Refused(`status ${response.status}`);
  }
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    // Leaving the loop cancels the rest.
    if (size > maxBytes) throw new Refused("answer is too large");
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
};

/** An empty set would lock everyone out; it is taken for a mistake of the endpoint. */
const parse = (text: string): KeySet => {
  const set: JSONWebKeySet = JSON.parse(text);
  const keys = createLocalJWKSet(set);
  if (set.keys.length === 0) throw new Refused("key set is empty");
  return keys;
};
