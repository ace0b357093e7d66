/**
 * How often a tenant may call: a token bucket for each key, refilled evenly.
 *
 * A bucket is one number, the monotonic instant at which it will be full again; taking a token moves
 * that instant on by the time one token takes to refill. A full bucket is the same as none, so
 * forgetting it changes nothing, and the map stays small.
 */
import { HttpApiMiddleware } from "@effect/platform";
import { type Clock, Context, Duration, Effect, Layer } from "effect";
import { recentMillis } from "../resilience/Monotonic.ts";
import * as Gate from "./Gate.ts";
import * as Header from "./Header.ts";
import { TooManyRequests } from "./Problem.ts";
import type { RequestContext } from "./RequestContext.ts";

/** Rates of all keys. */
export interface Options {
  /** Tokens that come back in a second; above 0. */
  readonly rps: number;
  /** Most tokens a key can save up, so most calls at once; at least 1. */
  readonly burst: number;
  /** Most keys remembered at a time [10,000]. */
  readonly maxKeys?: number;
}

/** What became of one call. */
export interface Decision {
  readonly allowed: boolean;
  /** The burst: most calls at once. */
  readonly limit: number;
  /** Calls that would be allowed now. */
  readonly remaining: number;
  /** Whole seconds until the bucket is full again, rounded up. */
  readonly resetSeconds: number;
  /** Time until the next call is allowed; zero when this one was. */
  readonly retryAfter: Duration.Duration;
}

/** Marks endpoints whose callers are limited per tenant; comes after authentication. */
export class RateLimited extends HttpApiMiddleware.Tag<RateLimited>()("http/RateLimited", {
  failure: TooManyRequests,
}) {}

/** How many of the oldest buckets one insertion into a full map looks at. */
const evictionScan = 64;

/** The buckets of all tenants in this process. */
export class RateLimiter extends Context.Tag("http/RateLimiter")<RateLimiter, {
  /** Takes a token of this key, if there is one. */
  readonly take: (key: string) => Effect.Effect<Decision>;
  /** {@link take} for code that is not in a fiber. */
  readonly unsafeTake: (key: string) => Decision;
  /** Keys remembered now. */
  readonly unsafeSize: () => number;
}>() {
  /** Time is that of the clock the layer is built with. */
  static readonly layer = (options: Options): Layer.Layer<RateLimiter> =>
    Layer.effect(RateLimiter, Effect.map(Effect.clock, (clock) => make(options, clock)));
}

const make = ({ rps, burst, maxKeys = 10_000 }: Options, clock: Clock.Clock) => {
  /** Milliseconds in which one token comes back. */
  const interval = 1000 / rps;
  const capacity = burst * interval;
  const fullAt = new Map<string, number>();

  const unsafeTake = (key: string): Decision => {
    const now = recentMillis(clock);
    const known = fullAt.get(key);
    const before = known === undefined || known < now ? now : known;
    const after = before + interval;
    // Instants are sums of fractions: what is missing by less than a microsecond is there.
    const wait = after - now - capacity;
    const allowed = wait < 0.001;
    if (allowed) {
      if (known === undefined && fullAt.size >= maxKeys) evict(fullAt, now);
      fullAt.set(key, after);
    }
    const used = (allowed ? after : before) - now;
    return {
      allowed,
      limit: burst,
      remaining: Math.min(Math.max(0, Math.floor((capacity - used + 0.001) / interval)), burst),
      resetSeconds: Math.ceil((used - 0.001) / 1000),
      retryAfter: allowed ? Duration.zero : Duration.millis(wait),
    };
  };
  return {
    unsafeTake,
    take: (key: string) => Effect.sync(() => unsafeTake(key)),
    unsafeSize: () => fullAt.size,
  };
};

/** Drops the full buckets among the oldest; if there are none, the fullest, which loses least. */
const evict = (fullAt: Map<string, number>, now: number): void => {
  const before = fullAt.size;
  let fullest: string | undefined;
  let fullestAt = Infinity;
  let seen = 0;
  for (const [key, at] of fullAt) {
    if (at <= now) fullAt.delete(key);
    else if (at < fullestAt) {
      fullest = key;
      fullestAt = at;
    }
    if (++seen >= evictionScan) break;
  }
  if (fullAt.size === before && fullest !== undefined) fullAt.delete(fullest);
};

/** Headers of a number, which is mostly that of the answer before. */
const numbered = (name: string) => {
  const of = Header.named(name);
  let number = 0;
  let header = of("0");
  return (next: number): Header.Header => {
    if (next !== number) {
      number = next;
      header = of(String(next));
    }
    return header;
  };
};

const limit = numbered("ratelimit-limit");
const remaining = numbered("ratelimit-remaining");
const reset = numbered("ratelimit-reset");

/** The headers that tell a caller where it stands. */
const headers = (decision: Decision): ReadonlyArray<Header.Header> => [
  limit(decision.limit),
  remaining(decision.remaining),
  reset(decision.resetSeconds),
];

/** Takes a token for the request and has its answer tell so, or gives the 429 of one that has none. */
export const admit = (
  limiter: RateLimiter["Type"],
  key: string,
  context: RequestContext,
): TooManyRequests | undefined => {
  const decision = limiter.unsafeTake(key);
  if (!decision.allowed) {
    return new TooManyRequests({ retryAfter: decision.retryAfter, headers: headers(decision) });
  }
  context.addHeaders(headers(decision));
  return undefined;
};

/**
 * Limits endpoints marked {@link RateLimited} by the tenant of the caller. The headers are on every
 * answer of such an endpoint. `onRefused` is told of each 429.
 */
export const gate = (limiter: RateLimiter["Type"], onRefused: () => void = () => {}): Gate.Gate =>
  Gate.make(RateLimited, (_request, context) => {
    const refused = admit(limiter, context.principal?.tenantId ?? "", context);
    if (refused !== undefined) onRefused();
    return refused;
  });
