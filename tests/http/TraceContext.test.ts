/** Trace context in and out. */
import assert from "node:assert/strict";
import { Context, Option, Tracer } from "effect";
import { callerOf, headersOf } from "../../src/http/TraceContext.ts";
import * as Sampler from "../../src/operations/Sampler.ts";
import { makeTracer } from "../../src/operations/Tracing.ts";
import { describe, it } from "../support/it.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";
const traceparent = (flags: string) => `00-${traceId}-${spanId}-${flags}`;

describe("TraceContext", () => {
  it("callerOf() reads ids and the sampled flag, and no other flag", () => {
    const { _tag, ...caller } = callerOf(traceparent("01"), null);
    assert.equal(_tag, "ExternalSpan");
    assert.equal(caller.traceId, traceId);
    assert.equal(caller.spanId, spanId);
    assert.equal(caller.sampled, true);
    for (const [flags, sampled] of [["00", false], ["02", false], ["03", true], ["ff", true]]) {
      assert.equal(callerOf(traceparent(String(flags)), null).sampled, sampled);
    }
  });

  it("headersOf() names the span itself, and passes on the caller's tracestate", () => {
    const tracer = makeTracer(
      Sampler.make({ name: "parentbased_always_on", ratio: 1 }),
      () => {},
    );
    const below = (parent: Tracer.AnySpan) =>
      tracer.span("x", Option.some(parent), Context.empty(), [], 0n, "internal");
    const span = below(below(callerOf(traceparent("01"), "vendor=1")));
    assert.deepEqual(headersOf(span), {
      traceparent: `00-${traceId}-${span.spanId}-01`,
      tracestate: "vendor=1",
    });
    const unsampled = below(callerOf(traceparent("00"), null));
    assert.deepEqual(headersOf(unsampled), {
      traceparent: `00-${traceId}-${unsampled.spanId}-00`,
    });
  });

  for (const tracestate of ["", "x".repeat(1_025)]) {
    it(`callerOf() leaves a tracestate of ${tracestate.length} characters behind`, () => {
      const caller = callerOf(traceparent("01"), tracestate);
      assert.deepEqual(headersOf(caller), { traceparent: traceparent("01") });
    });
  }
});
