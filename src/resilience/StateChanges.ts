/** A synchronous source of state changes as a stream. */
import { Effect, Queue, Stream } from "effect";
import type { StateChange } from "./BreakerContract.ts";

/** Takes a listener, and gives what takes it off again. */
export type Subscribe = (listener: (change: StateChange) => void) => () => void;

/** Unread changes kept for one reader; a slower one loses the oldest. */
const capacity = 1_024;

/** Changes from the moment the stream is run; the listener is taken off when it ends. */
export const fromSubscribe = (subscribe: Subscribe): Stream.Stream<StateChange> =>
  Stream.unwrapScoped(Effect.gen(function* () {
    const queue = yield* Effect.acquireRelease(
      Queue.sliding<StateChange>(capacity),
      Queue.shutdown,
    );
    yield* Effect.acquireRelease(
      // `unsafeOffer` would refuse the newest when the queue is full instead of letting the oldest go.
      Effect.sync(() => subscribe((change) => Effect.runSync(Queue.offer(queue, change)))),
      (remove) => Effect.sync(remove),
    );
    return Stream.fromQueue(queue);
  }));
