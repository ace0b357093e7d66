/**
 * Spans as this program keeps them: recorded until they end, and handed to the exporters then.
 *
 * The exporters read finished spans, so several can share them, and what a span says is decided in
 * one place. Nothing here runs unless tracing is on.
 */
import { Cause, Effect, type Exit, Option, Tracer } from "effect";
import { causeText } from "./SafeText.ts";
import type { Decision, Sampler } from "./Sampler.ts";

/** What went wrong in a span, in words fit to leave the process. */
export interface SpanError {
  /** The error's tag or name. */
  readonly type: string;
  readonly message: string;
}

/** Something that happened during a span. */
export interface SpanEvent {
  readonly name: string;
  /** Epoch nanoseconds. */
  readonly at: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** Most events and most attributes of one span; more are left out. */
const maxEntries = 128;

const randomIds = { bytes: new Uint8Array(4_096), used: 4_096 };

/** As many random bytes, in hex; asking the system for each id would cost more than the span. */
const randomHex = (length: number): string => {
  if (randomIds.used + length > randomIds.bytes.length) {
    crypto.getRandomValues(randomIds.bytes);
    randomIds.used = 0;
  }
  const from = randomIds.used;
  randomIds.used += length;
  const text = randomIds.bytes.subarray(from, from + length).toHex();
  // All zeros means "no id".
  return /[^0]/.test(text) ? text : randomHex(length);
};

/** One span, from its beginning to the exporters. */
export class RecordedSpan implements Tracer.Span {
  readonly _tag = "Span";
  readonly sampled = true;
  readonly spanId = randomHex(8);
  readonly attributes = new Map<string, unknown>();
  readonly events: Array<SpanEvent> = [];
  readonly links: Array<Tracer.SpanLink>;
  status: Tracer.SpanStatus;
  /** Set at the end, when it failed; an interruption is no failure. */
  error: SpanError | undefined;

  constructor(
    readonly name: string,
    readonly parent: Option.Option<Tracer.AnySpan>,
    readonly context: Tracer.Span["context"],
    links: ReadonlyArray<Tracer.SpanLink>,
    readonly startTime: bigint,
    readonly kind: Tracer.SpanKind,
    readonly traceId: string,
    /** For what percentage of all traces this one stands. */
    readonly rate: number,
    readonly onEnd: (span: RecordedSpan) => void,
  ) {
    this.links = Array.from(links);
    this.status = { _tag: "Started", startTime };
  }

  /** Epoch nanoseconds; the start's while it has not ended. */
  get endTime(): bigint {
    return this.status._tag === "Ended" ? this.status.endTime : this.startTime;
  }

  end(endTime: bigint, exit: Exit.Exit<unknown, unknown>): void {
    if (this.status._tag === "Ended") return;
    this.status = { _tag: "Ended", startTime: this.startTime, endTime, exit };
    if (exit._tag === "Failure") this.#fail(exit.cause);
    this.onEnd(this);
  }

  attribute(key: string, value: unknown): void {
    if (this.attributes.size < maxEntries) this.attributes.set(key, value);
  }

  event(name: string, at: bigint, attributes: Readonly<Record<string, unknown>> = {}): void {
    if (this.events.length < maxEntries) this.events.push({ name, at, attributes });
  }

  addLinks(links: ReadonlyArray<Tracer.SpanLink>): void {
    this.links.push(...links);
  }

  #fail(cause: Cause.Cause<unknown>): void {
    if (Cause.isInterruptedOnly(cause)) {
      this.attribute("status.interrupted", true);
      return;
    }
    const message = causeText(cause) ?? "";
    const given = this.attributes.get("error.type");
    const type = typeof given === "string" ? given : message.split(":")[0] ?? "";
    this.error = { type, message };
    this.attribute("error.type", type);
  }
}

/** A span that nobody will see: it only carries the trace and the decision on. */
class UnrecordedSpan implements Tracer.Span {
  readonly _tag = "Span";
  readonly sampled = false;
  readonly spanId = randomHex(8);
  readonly attributes: ReadonlyMap<string, unknown> = new Map();
  readonly links: ReadonlyArray<Tracer.SpanLink> = [];
  status: Tracer.SpanStatus;

  constructor(
    readonly name: string,
    readonly parent: Option.Option<Tracer.AnySpan>,
    readonly context: Tracer.Span["context"],
    startTime: bigint,
    readonly kind: Tracer.SpanKind,
    readonly traceId: string,
  ) {
    this.status = { _tag: "Started", startTime };
  }

  end(endTime: bigint, exit: Exit.Exit<unknown, unknown>): void {
    this.status = { _tag: "Ended", startTime: this.status.startTime, endTime, exit };
  }
  attribute(): void {}
  event(): void {}
  addLinks(): void {}
}

/** A tracer whose recorded spans go to `onEnd`, which is called synchronously and must not throw. */
export const makeTracer = (sample: Sampler, onEnd: (span: RecordedSpan) => void): Tracer.Tracer => {
  const decide = (parent: Option.Option<Tracer.AnySpan>, traceId: string): Decision => {
    if (Option.isNone(parent) || parent.value._tag === "ExternalSpan") {
      return sample(parent, traceId);
    }
    const { value } = parent;
    return { sampled: value.sampled, rate: value instanceof RecordedSpan ? value.rate : 100 };
  };
  return Tracer.make({
    context: (f) => f(),
    span: (name, parent, context, links, startTime, kind) => {
      const traceId = Option.isSome(parent) ? parent.value.traceId : randomHex(16);
      const { sampled, rate } = decide(parent, traceId);
      return sampled
        ? new RecordedSpan(name, parent, context, links, startTime, kind, traceId, rate, onEnd)
        : new UnrecordedSpan(name, parent, context, startTime, kind, traceId);
    },
  });
};

/** Says something in the fiber's span; where there is none it is not even worked out. */
export const inCurrentSpan = (
  attributesOf: () => Readonly<Record<string, unknown>>,
): Effect.Effect<void> =>
  Effect.withFiberRuntime((fiber) => {
    const span = fiber.currentSpan;
    if (span?._tag === "Span" && span.sampled) {
      for (const [key, value] of Object.entries(attributesOf())) span.attribute(key, value);
    }
    return Effect.void;
  });

/** A look into a cache in a span of its own, which says how it ended. */
export const cacheSpan =
  <A>(resultOf: (found: A) => "hit" | "miss" | "unavailable") =>
  <E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.useSpan(
      "cache get",
      { captureStackTrace: false },
      (span) =>
        Effect.map(Effect.withParentSpan(self, span), (found) => {
          span.attribute("cache.result", resultOf(found));
          return found;
        }),
    );

/** Puts what is forked elsewhere under the span of the fiber that asks for it, if there is one. */
export const under =
  (span: Tracer.AnySpan | undefined) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    span === undefined ? self : Effect.withParentSpan(self, span);
