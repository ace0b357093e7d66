import { describe, it } from "@std/testing/bdd";
import assert from "node:assert/strict";
import { byPart, type Profile, selfTimes } from "./CpuProfile.ts";

const frame = (id: number, functionName: string, url = "", lineNumber = 0) => ({
  id,
  callFrame: { functionName, url, lineNumber },
});

const profile: Profile = {
  nodes: [
    frame(1, "(root)"),
    frame(2, "(idle)"),
    frame(3, "find", "file:///checkout/src/routing/StoreLookup.ts", 9),
    frame(4, "find", "file:///checkout/src/routing/StoreLookup.ts", 9),
    frame(5, "", "file:///cache/node_modules/effect/3.22.4/src/Effect.ts", 1),
    frame(6, "op_write"),
    frame(7, "start", "file:///checkout/src/main.ts"),
  ],
  samples: [7, 3, 2, 4, 5, 6, 1],
  timeDeltas: [5_000_000, 400_000, 9_000_000, 200_000, 300_000, 100_000, 50_000],
  startTime: 0,
  endTime: 15_050_000,
};

describe("CpuProfile", () => {
  it("selfTimes() sums up a function's samples and leaves out idle time and what came before", () => {
    const times = selfTimes(profile, 1, "file:///checkout/");
    assert.deepEqual(times, [
      { share: 0.6, name: "find", place: "src/routing/StoreLookup.ts:10" },
      { share: 0.3, name: "(anonymous)", place: "effect/3.22.4/src/Effect.ts:2" },
      { share: 0.1, name: "op_write", place: "" },
    ]);
  });

  it("byPart() sums up by room, package and runtime", () => {
    const parts = byPart(selfTimes(profile, 1, "file:///checkout/"));
    assert.deepEqual(parts.map(({ name }) => name), ["src/routing", "effect", "the runtime"]);
  });
});
