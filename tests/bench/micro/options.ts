/**
 * What each guard that is off by default adds to a call that succeeds: a breaker with adaptive
 * thresholds, a throttle, an adaptive limit in a bulkhead, a hedge that sends no second attempt.
 */
import { Effect } from "effect";
import * as AdaptiveLimit from "../../../src/resilience/AdaptiveLimit.ts";
import * as Bulkhead from "../../../src/resilience/Bulkhead.ts";
import * as CircuitBreaker from "../../../src/resilience/CircuitBreaker.ts";
import * as Guard from "../../../src/resilience/Guard.ts";
import * as Hedge from "../../../src/resilience/Hedge.ts";
import * as Throttle from "../../../src/resilience/Throttle.ts";
import { inFiber, measure } from "./Measure.ts";

const dependency = "guarded";
const work = Effect.sync(() => 1);

const maxConcurrent = 64;
const limit = AdaptiveLimit.make(dependency, { ceiling: maxConcurrent });

/** One guard with a breaker of its own and what `more` adds. */
const guardOf = <E>(more: Effect.Effect<Partial<Guard.Options>, E>) =>
  Effect.runSync(Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make(dependency);
    const guard = yield* Guard.make({ dependency, breaker, ...(yield* more) });
    return () => guard.run("call", work);
  }));

const breakers = {
  fixed: Effect.runSync(CircuitBreaker.make("fixed")),
  adaptive: Effect.runSync(CircuitBreaker.make("adaptive", { adaptive: true })),
};

await measure({
  "fixed": inFiber(() => breakers.fixed.protect(work)),
  "adaptive": inFiber(() => breakers.adaptive.protect(work)),
  "guard": inFiber(guardOf(Effect.succeed({}))),
  "throttle": inFiber(
    guardOf(Effect.map(Throttle.make(dependency), (throttle) => ({ throttle }))),
  ),
  "bulkhead": inFiber(
    guardOf(
      Effect.map(Bulkhead.make(dependency, { maxConcurrent }), (bulkhead) => ({ bulkhead })),
    ),
  ),
  "adaptive limit": inFiber(
    guardOf(Effect.map(
      Effect.flatMap(limit, (adaptive) => Bulkhead.make(dependency, { maxConcurrent }, adaptive)),
      (bulkhead) => ({ bulkhead }),
    )),
  ),
  "hedge": inFiber(guardOf(Effect.map(Hedge.make(), (hedge) => ({ hedge })))),
});
