/** Histograms in Prometheus text format: bounds belong to their bucket, and buckets add up. */
import assert from "node:assert/strict";
import * as Durations from "../../src/operations/Durations.ts";
import { describe, it } from "../support/it.ts";
import { MetricsPage } from "../support/wire/MetricsPage.ts";

describe("Durations", () => {
  const bucket = (page: MetricsPage, labels: Readonly<Record<string, string>>, le: string) =>
    page.value("call_duration_seconds_bucket", { ...labels, le });

  it("text() has each child's buckets added up, its sum and its count", () => {
    const durations = Durations.make("call_duration_seconds", "Time of a call.");
    const [fast, slow] = ["fast", "slow"].map((operation) => durations.child({ operation }));
    for (const seconds of [0, 0.0005, 0.0006, 0.25]) fast?.observe(seconds);
    for (const seconds of [10, 10.001, 60]) slow?.observe(seconds);
    const page = new MetricsPage(durations.text());
    assert.equal(page.types.get("call_duration_seconds"), "histogram");
    const [one, other] = [{ operation: "fast" }, { operation: "slow" }];
    assert.deepEqual(
      ["0.0005", "0.001", "0.1", "0.25", "+Inf"].map((le) => bucket(page, one, le)),
      [2, 3, 3, 4, 4],
    );
    assert.deepEqual(["5", "10", "+Inf"].map((le) => bucket(page, other, le)), [0, 1, 3]);
    assert.equal(page.value("call_duration_seconds_count", other), 3);
    assert.equal(page.value("call_duration_seconds_sum", other), 80.001);
  });

  it("text() keeps labels with quotes, line breaks and backslashes in one line each", () => {
    const durations = Durations.make("call_duration_seconds", "Time of a call.");
    const odd = 'odd"\\\nname';
    durations.child({ operation: odd });
    const page = new MetricsPage(durations.text());
    assert.equal(bucket(page, { operation: odd }, "+Inf"), 0);
  });
});
