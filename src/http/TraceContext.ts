/**
 * W3C Trace Context on the wire: the caller's span from its headers, and the headers that name a
 * span to whoever is called next. What vendors keep in `tracestate` is passed on unread.
 */
import { Context, Option, Tracer } from "effect";

/** The caller's `tracestate`, kept in the context of the span that stands for the caller. */
class TraceState extends Context.Tag("http/TraceState")<TraceState, string>() {}

/** Longest `tracestate` that is passed on; the rule asks for at least 512. */
const maxTraceState = 1_024;

/** The caller's span. `traceparent` has been found valid; its sampled flag is kept. */
export const callerOf = (traceparent: string, tracestate: string | null): Tracer.ExternalSpan =>
  Tracer.externalSpan({
    traceId: traceparent.slice(3, 35),
    spanId: traceparent.slice(36, 52),
    sampled: (parseInt(traceparent.slice(53, 55), 16) & 1) === 1,
    context: tracestate === null || tracestate === "" || tracestate.length > maxTraceState
      ? Context.empty()
      : Context.make(TraceState, tracestate),
  });

/** The `tracestate` that this span's first ancestor brought with it. */
const traceStateOf = (span: Tracer.AnySpan): string | undefined => {
  let oldest = span;
  while (oldest._tag === "Span" && oldest.parent._tag === "Some") oldest = oldest.parent.value;
  return Option.getOrUndefined(Context.getOption(oldest.context, TraceState));
};

/** The headers that make this span the parent of what is called. */
export const headersOf = (span: Tracer.AnySpan): Readonly<Record<string, string>> => {
  const traceparent = `00-${span.traceId}-${span.spanId}-${span.sampled ? "01" : "00"}`;
  const tracestate = traceStateOf(span);
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate };
};
