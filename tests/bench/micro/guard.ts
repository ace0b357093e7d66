/** A call through every guard at once, and through the retrying alone; nothing fails. */
import { Effect, Either } from "effect";
import * as Bulkhead from "../../../src/resilience/Bulkhead.ts";
import * as CircuitBreaker from "../../../src/resilience/CircuitBreaker.ts";
import * as Guard from "../../../src/resilience/Guard.ts";
import * as RateLimiter from "../../../src/resilience/RateLimiter.ts";
import * as Retry from "../../../src/resilience/Retry.ts";
import * as RetryBudget from "../../../src/resilience/RetryBudget.ts";
import { awaiting, inFiber, measure } from "./Measure.ts";
import { call, cockatiel, cockatielBreaker, opossum } from "./Peers.ts";

const work = Effect.sync(() => 1);

const retry = Either.getOrThrow(Retry.policy());
const whole = Effect.gen(function* () {
  const breaker = yield* CircuitBreaker.make("guarded");
  return yield* Guard.make({
    dependency: "guarded",
    breaker,
    retry,
    budget: yield* RetryBudget.make(),
    limiter: yield* RateLimiter.following(breaker),
    bulkhead: yield* Bulkhead.make("guarded", { maxConcurrent: 64 }),
  });
});
// The limiter listens to its breaker for as long as this process lives.
const guard = await Effect.runPromise(Effect.scoped(Effect.tap(whole, () => Effect.void)));
const retrying = await Effect.runPromise(
  Effect.flatMap(
    CircuitBreaker.make("retried"),
    (breaker) =>
      Effect.flatMap(
        breaker.control("disable"),
        () => Guard.make({ dependency: "retried", breaker, retry }),
      ),
  ),
);

const peerRetry = cockatiel.retry(cockatiel.handleAll, {
  maxAttempts: 2,
  backoff: new cockatiel.ExponentialBackoff(),
});
const peerWhole = cockatiel.wrap(
  peerRetry,
  cockatielBreaker(),
  cockatiel.bulkhead(64),
  cockatiel.timeout(5_000, cockatiel.TimeoutStrategy.Cooperative),
);
const peerBreaker = opossum(call, { timeout: 5_000, capacity: 64 });

await measure({
  "effect": inFiber(() => work),
  "promise": awaiting(call),
  "ours whole": inFiber(() => guard.run("call", work)),
  "cockatiel whole": awaiting(() => peerWhole.execute(call)),
  "opossum whole": awaiting(() => peerBreaker.fire()),
  "ours retry": inFiber(() => retrying.run("call", work)),
  "cockatiel retry": awaiting(() => peerRetry.execute(call)),
});
