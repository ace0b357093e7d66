import { Chunk, Duration, Effect, Schedule } from "effect";
import assert from "node:assert/strict";
import { backoff, delayOf, maxDelay } from "../../src/connections/Reconnect.ts";
import { describe, it } from "../support/it.ts";

const assertPace = (delays: ReadonlyArray<number>) =>
  delays.forEach((delay, index) => {
    const ideal = 100 * 2 ** Math.min(index, 20);
    assert.ok(delay >= Math.min(maxDelay, 0.8 * ideal), `${delay} after attempt ${index + 1}`);
    assert.ok(delay <= Math.min(maxDelay, 1.2 * ideal), `${delay} after attempt ${index + 1}`);
  });

describe("Reconnect", () => {
  it.effect("backoff doubles from 100 ms, jittered and capped, and never ends", () =>
    Effect.gen(function* () {
      const delays = yield* Schedule.run(Schedule.delays(backoff), 0, Array.from({ length: 200 }));
      const milliseconds = Chunk.toReadonlyArray(delays).map(Duration.toMillis);
      assert.equal(milliseconds.length, 200);
      assertPace(milliseconds);
    }));

  it("delayOf() doubles from 100 ms, jittered and capped", () => {
    assertPace(Array.from({ length: 2_000 }, (_, index) => delayOf(index + 1)));
  });

  it("delayOf() gives different delays to different clients", () => {
    assert.ok(new Set(Array.from({ length: 20 }, () => delayOf(1))).size > 1);
  });
});
