/**
 * Attempts as spans, for whoever follows a request through a trace. Only a guard that is given a
 * form makes them, and only below a span: a guard without one is not touched by any of this.
 */
import { Effect } from "effect";
import type { CircuitBreaker } from "./BreakerContract.ts";

/** What the span of an attempt is called, and what it says beside the breaker's part. */
export interface SpanForm {
  readonly name: string;
  /** `client` for what is called over the network, `internal` for what is embedded. */
  readonly kind: "client" | "internal";
  readonly attributes: Readonly<Record<string, unknown>>;
}

/**
 * Runs an attempt, its breaker included, in a span of its own: one that the breaker refuses shows as
 * failed, and a change of state that it causes is an event of it.
 */
export const inSpan = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  form: SpanForm,
  breaker: CircuitBreaker,
  attempt: number,
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const parent = fiber.currentSpan;
    if (parent === undefined || !parent.sampled) return self;
    return Effect.useSpan(form.name, {
      kind: form.kind,
      attributes: {
        ...form.attributes,
        "circuit_breaker.name": breaker.name,
        "circuit_breaker.state": breaker.unsafeState(),
        "retry.attempt": attempt,
      },
      captureStackTrace: false,
    }, (span) => Effect.withParentSpan(self, span));
  });
