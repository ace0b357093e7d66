/** Spans of a guard's attempts: which are made, where, and what they say. */
import assert from "node:assert/strict";
import { Effect, Option, Tracer } from "effect";
import * as CircuitBreaker from "../../src/resilience/CircuitBreaker.ts";
import { TransientFailure } from "../../src/resilience/DependencyFailure.ts";
import * as Guard from "../../src/resilience/Guard.ts";
import * as Retry from "../../src/resilience/Retry.ts";
import { describe, it } from "../support/it.ts";

const failure = new TransientFailure({
  dependency: "store",
  operation: "find",
  reason: "gone",
  timedOut: false,
  cause: null,
});

interface Seen {
  readonly name: string;
  readonly kind: Tracer.SpanKind;
  readonly parent: string | undefined;
  readonly attributes: Record<string, unknown>;
  failed: boolean | undefined;
}

/** A tracer that keeps what it is told. */
const watching = (sampled = true) => {
  const seen: Array<Seen> = [];
  const tracer = Tracer.make({
    context: (f) => f(),
    span: (name, parent, context, links, startTime, kind) => {
      const entry: Seen = {
        name,
        kind,
        parent: Option.getOrUndefined(parent)?.spanId,
        attributes: {},
        failed: undefined,
      };
      seen.push(entry);
      return {
        _tag: "Span",
        name,
        parent,
        context,
        links,
        kind,
        sampled,
        spanId: `span-${seen.length}`,
        traceId: "trace",
        status: { _tag: "Started", startTime },
        attributes: new Map(),
        attribute: (key, value) => void (entry.attributes[key] = value),
        event: () => {},
        addLinks: () => {},
        end: (_, exit) => void (entry.failed = exit._tag === "Failure"),
      };
    },
  });
  return { seen, tracer };
};

const guarded = Effect.gen(function* () {
  const breaker = yield* CircuitBreaker.make("store", { consecutiveFailures: 2 });
  const guard = yield* Guard.make({
    dependency: "store",
    breaker,
    retry: yield* Retry.policy({ maxAttempts: 3, initialDelay: 0 }),
    spans: (operation) => ({ name: `call ${operation}`, kind: "client", attributes: { a: 1 } }),
  });
  return guard;
});

describe("AttemptSpan", () => {
  it.live("a guard makes a span of each attempt, of the refused one too", () =>
    Effect.gen(function* () {
      const { seen, tracer } = watching();
      const guard = yield* guarded;
      yield* guard.run("find", Effect.fail(failure)).pipe(
        Effect.exit,
        Effect.withSpan("request"),
        Effect.withTracer(tracer),
      );
      const [request, ...attempts] = seen;
      assert.equal(request?.name, "request");
      assert.deepEqual(
        attempts.map(({ attributes, ...rest }) => [
          rest.name,
          rest.kind,
          rest.parent,
          rest.failed,
          attributes["retry.attempt"],
          attributes["circuit_breaker.state"],
        ]),
        [
          ["call find", "client", "span-1", true, 1, "closed"],
          ["call find", "client", "span-1", true, 2, "closed"],
          ["call find", "client", "span-1", true, 3, "open"],
        ],
      );
      assert.equal(attempts[0]?.attributes["circuit_breaker.name"], "store");
      assert.equal(attempts[0]?.attributes["a"], 1);
    }));

  it.live("a guard makes none outside of a trace, nor in one that is not recorded", () =>
    Effect.gen(function* () {
      const { seen, tracer } = watching(false);
      const guard = yield* guarded;
      yield* Effect.withTracer(guard.run("find", Effect.void), tracer);
      assert.equal(seen.length, 0);
      yield* guard.run("find", Effect.void).pipe(
        Effect.withSpan("request"),
        Effect.withTracer(tracer),
      );
      assert.deepEqual(seen.map(({ name }) => name), ["request"]);
    }));

  it.live("a call sees the span of its own attempt", () =>
    Effect.gen(function* () {
      const { tracer } = watching();
      const guard = yield* guarded;
      const span = yield* guard.run("find", Effect.currentSpan).pipe(
        Effect.withSpan("request"),
        Effect.withTracer(tracer),
      );
      assert.equal(span.name, "call find");
    }));
});
