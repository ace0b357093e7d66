/**
 * What is known about the request that a fiber works for. It is set when the request's fiber
 * starts and inherited by every fiber forked from it, so the logger and outgoing calls can read it.
 */
import { type Context, FiberRef, type Tracer } from "effect";
import * as Header from "./Header.ts";
import type { Principal } from "./Principal.ts";

/** One request. Times are monotonic milliseconds. */
export class RequestContext {
  /** Of the running fiber; `null` outside a request. */
  static readonly current: FiberRef.FiberRef<RequestContext | null> = FiberRef.unsafeMake<
    RequestContext | null
  >(null);

  /** Set by authentication before the handler runs; `null` where none is asked for. */
  principal: Context.Tag.Service<Principal> | null = null;

  /** More headers for the answer. */
  answerHeaders: ReadonlyArray<Header.Header> = Header.none;

  /** The request's own span; `null` when requests are not traced. */
  span: Tracer.Span | null = null;

  constructor(
    /** In every log line and answer: 1–128 of `[A-Za-z0-9._-]`. */
    readonly correlationId: string,
    /** `auth` or `routing`. */
    readonly service: string,
    /** The caller's W3C `traceparent`, if it sent a valid one. */
    readonly traceparent: string | undefined,
    /** By `performance.now`. */
    readonly startedAt: number,
    /** By `monotonicMillis`, as {@link Deadline.current} has it; `Infinity` when there is none. */
    readonly deadline: number,
  ) {}

  /** Adds headers to whatever will be answered. */
  addHeaders(headers: ReadonlyArray<Header.Header>): void {
    this.answerHeaders = this.answerHeaders.length === 0
      ? headers
      : [...this.answerHeaders, ...headers];
  }
}

/** Of the running fiber; `null` outside a request. */
export const current = RequestContext.current;
