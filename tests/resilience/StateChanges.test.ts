/** A synchronous source as a stream: who listens, for how long, and what a slow reader loses. */
import assert from "node:assert/strict";
import { Chunk, Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect";
import type { StateChange } from "../../src/resilience/BreakerContract.ts";
import { fromSubscribe } from "../../src/resilience/StateChanges.ts";
import { describe, it } from "../support/it.ts";

/** A source whose listeners can be seen, and the nth change. */
const source = () => {
  const listeners = new Set<(change: StateChange) => void>();
  const stream = fromSubscribe((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  });
  const tell = (at: number) => {
    const counts = {
      requests: 0,
      totalSuccesses: 0,
      totalFailures: 0,
      consecutiveSuccesses: 0,
      consecutiveFailures: 0,
    };
    const change = { breaker: "a", from: "closed", to: "open", at, counts, manual: false } as const;
    for (const listener of listeners) listener(change);
  };
  return { listeners, stream, tell };
};

describe("fromSubscribe()", () => {
  it.effect("listens from the moment it is run until it ends", () =>
    Effect.gen(function* () {
      const { listeners, stream, tell } = source();
      assert.equal(listeners.size, 0);
      tell(0);
      const fiber = yield* Effect.fork(Stream.runCollect(Stream.take(stream, 2)));
      while (listeners.size === 0) yield* Effect.yieldNow();
      tell(1);
      tell(2);
      const seen = yield* Fiber.join(fiber);
      assert.deepEqual(Chunk.toReadonlyArray(seen).map(({ at }) => at), [1, 2]);
      assert.equal(listeners.size, 0);
    }));

  it.effect("gives every reader all changes", () =>
    Effect.gen(function* () {
      const { listeners, stream, tell } = source();
      const read = Effect.fork(Stream.runCollect(Stream.take(stream, 1)));
      const fibers = [yield* read, yield* read];
      while (listeners.size < 2) yield* Effect.yieldNow();
      tell(7);
      for (const fiber of fibers) {
        const [change] = Chunk.toReadonlyArray(yield* Fiber.join(fiber));
        assert.equal(change?.at, 7);
      }
    }));

  it.effect("keeps the newest 1,024 changes for a reader that falls behind", () =>
    Effect.gen(function* () {
      const { stream, listeners, tell } = source();
      const scope = yield* Scope.make();
      const pull = yield* Scope.extend(Stream.toPull(stream), scope);
      const first = yield* Deferred.make<Chunk.Chunk<StateChange>, unknown>();
      yield* Effect.fork(Effect.intoDeferred(pull, first));
      while (listeners.size === 0) yield* Effect.yieldNow();
      tell(0);
      yield* Deferred.await(first);
      for (let at = 1; at <= 2_000; at += 1) tell(at);
      const seen: Array<number> = [];
      while (seen.length < 1_024) {
        for (const { at } of yield* pull) seen.push(at);
      }
      assert.deepEqual([seen[0], seen.at(-1), seen.length], [977, 2_000, 1_024]);
      yield* Scope.close(scope, Exit.void);
      assert.equal(listeners.size, 0);
    }));
});
