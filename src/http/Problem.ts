/**
 * Errors as callers see them: RFC 9457 `application/problem+json`, one class per status.
 *
 * `type` is always `about:blank`: a kind says no more than its status does, and `title` is that
 * status's phrase; what a person should read is `error`. A problem is an answer, not a crash: it has
 * no stack (making one costs well under a microsecond) and holds nothing that must not leave the
 * process. Each class is also a Schema, so it goes straight into `addError` of an endpoint.
 */
import { HttpApiSchema } from "@effect/platform";
import { Duration, Effect, Effectable, Schema, type SchemaAST } from "effect";
import type { Header } from "./Header.ts";

/** Content type of every error answer. */
export const contentType = "application/problem+json";

/** What may be said about one occurrence; the class has a default for everything. */
export interface Options {
  /** The short human sentence: capital, no full stop. */
  readonly error?: string | undefined;
  /** What the caller can do about it, or what was wrong in more words. */
  readonly detail?: string | undefined;
  /** When asking again makes sense: `Retry-After` and `retryAfterSeconds`. */
  readonly retryAfter?: Duration.Duration | undefined;
  /** More response headers. */
  readonly headers?: ReadonlyArray<Header> | undefined;
  /** Set on the side of a client only; the server fills it in from the request. */
  readonly correlationId?: string | undefined;
}

/** The JSON body of an error answer. */
export const Wire = Schema.Struct({
  type: Schema.String.annotations({ description: "Always about:blank" }),
  title: Schema.String.annotations({ description: "The phrase of the status" }),
  status: Schema.Int,
  detail: Schema.String,
  error: Schema.String.annotations({ description: "The short human sentence" }),
  correlationId: Schema.String.annotations({ description: "As in x-correlation-id" }),
  retryAfterSeconds: Schema.optionalWith(Schema.Int.pipe(Schema.positive()), { exact: true })
    .annotations({ description: "As in Retry-After" }),
}).annotations({ identifier: "Problem", description: "RFC 9457 problem details" });

/** The JSON body of an error answer. */
export type Wire = typeof Wire.Type;

/** Any problem: an effect that fails with itself, so it can be yielded and returned as it is. */
export interface AnyProblem extends Effect.Effect<never, unknown> {
  readonly _tag: string;
  readonly status: number;
  readonly title: string;
  readonly error: string;
  readonly detail: string;
  readonly retryAfter: Duration.Duration | undefined;
  readonly headers: ReadonlyArray<Header> | undefined;
  readonly correlationId: string | undefined;
  /** The body's text for the request with this id. */
  readonly json: (correlationId: string) => string;
}

abstract class Base extends Effectable.Class<never, unknown> implements AnyProblem {
  abstract readonly _tag: string;
  readonly status: number;
  readonly title: string;
  readonly error: string;
  readonly detail: string;
  readonly retryAfter: Duration.Duration | undefined;
  readonly headers: ReadonlyArray<Header> | undefined;
  readonly correlationId: string | undefined;

  constructor(kind: Kind, options: Options) {
    super();
    this.status = kind.status;
    this.title = kind.title;
    this.error = options.error ?? kind.error;
    this.detail = options.detail ?? kind.detail;
    this.retryAfter = options.retryAfter;
    this.headers = options.headers;
    this.correlationId = options.correlationId;
  }

  /**
   * All but the id, written once: while a dependency is away many requests get the same problem. Not
   * a `#` field: within a span effect hands failures on as proxies, and those have none.
   */
  private opening = "";

  json(correlationId: string): string {
    if (this.opening === "") {
      const { correlationId: _, ...rest } = wire(this, "");
      this.opening = JSON.stringify(rest).slice(0, -1);
    }
    return `${this.opening},"correlationId":${JSON.stringify(correlationId)}}`;
  }

  override commit(): Effect.Effect<never, unknown> {
    return Effect.fail(this);
  }
}

/** True for an instance of one of the classes below. */
export const isProblem = (value: unknown): value is AnyProblem => value instanceof Base;

/** One kind of problem: its status and what it says unless told otherwise. */
interface Kind {
  readonly status: number;
  readonly title: string;
  readonly error: string;
  readonly detail: string;
}

/** An instance: what {@link AnyProblem} has, failing with its own class. */
type Instance<Self, Tag extends string> =
  & Omit<AnyProblem, keyof Effect.Effect<never> | "_tag">
  & Effect.Effect<never, Self>
  & { readonly _tag: Tag };

/** A class that is also the Schema of its wire form. */
export interface ProblemClass<Self, Tag extends string> extends Schema.Schema<Self, Wire> {
  new (options?: Options): Instance<Self, Tag>;
}

const define = <Self>() => <const Tag extends string>(tag: Tag, kind: Kind) => {
  let ast: SchemaAST.AST | undefined;
  class Defined extends Base {
    readonly _tag = tag;
    constructor(options: Options = {}) {
      super(kind, options);
    }
    static readonly [Schema.TypeId] = Schema.Void[Schema.TypeId];
    static readonly pipe = Schema.Void.pipe;
    static annotations(annotations: Schema.Annotations.GenericSchema<unknown>) {
      return Schema.make(this.ast).annotations(annotations);
    }
    /** Made on first use, so that instances are checked against the class that extends this one. */
    static get ast(): SchemaAST.AST {
      ast ??= schemaOf(this, kind).ast;
      return ast;
    }
  }
  // Self, the class that will extend this one, cannot be named here in any other way.
  return Defined as unknown as ProblemClass<Self, Tag>;
};

const schemaOf = (constructor: new (options?: Options) => AnyProblem, kind: Kind) =>
  Schema.transform(
    Wire,
    Schema.declare((value): value is AnyProblem => value instanceof constructor),
    {
      strict: true,
      decode: (wire) =>
        new constructor({
          error: wire.error,
          detail: wire.detail,
          correlationId: wire.correlationId,
          retryAfter: wire.retryAfterSeconds === undefined
            ? undefined
            : Duration.seconds(wire.retryAfterSeconds),
        }),
      encode: (problem) => wire(problem, problem.correlationId ?? ""),
    },
  ).annotations({
    ...HttpApiSchema.annotations({ status: kind.status, description: kind.title }),
    [HttpApiSchema.AnnotationEncoding]: { kind: "Json", contentType },
  });

/** 400: the request cannot be understood. */
export class BadRequest extends define<BadRequest>()("BadRequest", {
  status: 400,
  title: "Bad Request",
  error: "Request is invalid",
  detail: "The request does not have the form that this endpoint accepts.",
}) {}

/** 401: no credentials, or none that count. Always sent with `WWW-Authenticate`. */
export class Unauthorized extends define<Unauthorized>()("Unauthorized", {
  status: 401,
  title: "Unauthorized",
  error: "Authentication required",
  detail: 'Send a valid token as "Authorization: Bearer …".',
}) {}

/** 403: the caller is known and may not do this. */
export class Forbidden extends define<Forbidden>()("Forbidden", {
  status: 403,
  title: "Forbidden",
  error: "Forbidden",
  detail: "The token does not allow this request.",
}) {}

/** 404: there is nothing here, or nothing that the caller may see. */
export class NotFound extends define<NotFound>()("NotFound", {
  status: 404,
  title: "Not Found",
  error: "Not found",
  detail: "There is nothing at this address.",
}) {}

/** 405: the address exists, with the methods of the `Allow` header. */
export class MethodNotAllowed extends define<MethodNotAllowed>()("MethodNotAllowed", {
  status: 405,
  title: "Method Not Allowed",
  error: "Method not allowed",
  detail: "The Allow header lists the methods of this address.",
}) {}

/** 408: the request's body did not arrive in time. */
export class RequestTimeout extends define<RequestTimeout>()("RequestTimeout", {
  status: 408,
  title: "Request Timeout",
  error: "Request body not received in time",
  detail: "The body of the request was not complete when the time for the request had passed.",
}) {}

/** 413: the request's body is larger than the configured limit. */
export class PayloadTooLarge extends define<PayloadTooLarge>()("PayloadTooLarge", {
  status: 413,
  title: "Content Too Large",
  error: "Request body too large",
  detail: "The body of the request is larger than this service accepts.",
}) {}

/** 414: the query is larger than 8 KiB. */
export class UriTooLong extends define<UriTooLong>()("UriTooLong", {
  status: 414,
  title: "URI Too Long",
  error: "Query too long",
  detail: "The query of the address is longer than this service accepts.",
}) {}

/** 415: a body without a content type, or with another one than the endpoint takes. */
export class UnsupportedMediaType extends define<UnsupportedMediaType>()("UnsupportedMediaType", {
  status: 415,
  title: "Unsupported Media Type",
  error: "Content type not supported",
  detail: "Send the body as application/json in UTF-8, without a content encoding.",
}) {}

/** 429: the tenant has used up its rate. */
export class TooManyRequests extends define<TooManyRequests>()("TooManyRequests", {
  status: 429,
  title: "Too Many Requests",
  error: "Rate limit exceeded",
  detail: "Too many requests of this tenant in a short time.",
}) {}

/** 500: a defect of this service; what it was is in the log only. */
export class InternalServerError extends define<InternalServerError>()("InternalServerError", {
  status: 500,
  title: "Internal Server Error",
  error: "Internal server error",
  detail: "The correlation id leads to the cause in the log of the service.",
}) {}

/** 502: a dependency answered with something unusable. */
export class BadGateway extends define<BadGateway>()("BadGateway", {
  status: 502,
  title: "Bad Gateway",
  error: "Bad gateway",
  detail: "A service this one depends on gave an answer that cannot be used.",
}) {}

/** 503: a dependency does not answer, or this process has more to do than it can. */
export class ServiceUnavailable extends define<ServiceUnavailable>()("ServiceUnavailable", {
  status: 503,
  title: "Service Unavailable",
  error: "Service temporarily unavailable",
  detail: "The request can be sent again after the time in the Retry-After header.",
}) {}

/** Whole seconds for `Retry-After`: rounded up from the millisecond, at least 1. */
export const retryAfterSeconds = (retryAfter: Duration.Duration): number =>
  Math.max(1, Math.ceil(Math.round(Duration.toMillis(retryAfter)) / 1000));

/** The body of one occurrence. */
export const wire = (problem: AnyProblem, correlationId: string): Wire => {
  const { status, title, detail, error, retryAfter } = problem;
  const common = { type: "about:blank", title, status, detail, error, correlationId };
  return retryAfter === undefined
    ? common
    : { ...common, retryAfterSeconds: retryAfterSeconds(retryAfter) };
};
