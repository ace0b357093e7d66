/** A call through a breaker: closed, open, and half-open with all trials out. */
import { Effect } from "effect";
import * as CircuitBreaker from "../../../src/resilience/CircuitBreaker.ts";
import { awaiting, inFiber, measure, rejecting } from "./Measure.ts";
import { call, cockatielBreaker, opossum } from "./Peers.ts";

const work = Effect.sync(() => 1);
const never = () => new Promise<never>(() => {});

const closed = Effect.runSync(CircuitBreaker.make("closed"));
const open = Effect.runSync(CircuitBreaker.make("open", { openFor: "1 hour" }));
const halfOpen = Effect.runSync(
  CircuitBreaker.make("half-open", { openFor: 0, halfOpenMax: 1, trialLease: "1 hour" }),
);
for (const breaker of [open, halfOpen]) {
  for (let i = 0; i < 5; i += 1) Effect.runSync(Effect.exit(breaker.protect(Effect.fail("down"))));
}
Effect.runFork(halfOpen.protect(Effect.never));

const peerClosed = opossum();
const peerOpen = opossum();
peerOpen.open();
const peerHalfOpen = opossum(never, { resetTimeout: 1 });
peerHalfOpen.open();
await new Promise((resolve) => setTimeout(resolve, 50));
peerHalfOpen.fire();
const otherClosed = cockatielBreaker();
const otherOpen = cockatielBreaker();
otherOpen.isolate();

await measure({
  "effect": inFiber(() => work),
  "promise": awaiting(call),
  "ours closed": inFiber(() => closed.protect(work)),
  "opossum closed": awaiting(() => peerClosed.fire()),
  "cockatiel closed": awaiting(() => otherClosed.execute(call)),
  "ours open": inFiber(() => Effect.exit(open.protect(work))),
  "opossum open": rejecting(() => peerOpen.fire()),
  "cockatiel open": rejecting(() => otherOpen.execute(call)),
  "ours half-open": inFiber(() => Effect.exit(halfOpen.protect(work))),
  "opossum half-open": rejecting(() => peerHalfOpen.fire()),
});
