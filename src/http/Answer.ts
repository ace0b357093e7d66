/** An answer that is more than a value: with headers, another status, or a body as it stands. */
import * as Header from "./Header.ts";

/** What can be said beside the body. */
export interface Options {
  /** More response headers. */
  readonly headers?: ReadonlyArray<Header.Header>;
  /** Default: the status of the endpoint's success schema. */
  readonly status?: number;
}

/** For answers that nobody may keep. */
export const noStore: Options = { headers: [Header.noStore] };

/** A handler's answer; `A` is the value that the endpoint's success schema encodes. */
export class Answer<out A> {
  private constructor(
    /** Encoded by the schema; `undefined` when `raw` is sent. */
    readonly value: A | undefined,
    /** Sent as it stands; `undefined` when `value` is encoded. */
    readonly raw: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | undefined,
    readonly contentType: string,
    readonly headers: ReadonlyArray<Header.Header> | undefined,
    readonly status: number | undefined,
  ) {}

  /** A value of the success schema, with headers or one of its other statuses. */
  static of<A>(value: A, options: Options = {}): Answer<A> {
    return new Answer(value, undefined, "", options.headers, options.status);
  }

  /** Bytes or text that are already what the caller should get; nothing checks them. */
  static bytes(
    body: Uint8Array<ArrayBuffer> | string,
    contentType: string,
    options: Options = {},
  ): Answer<never> {
    return new Answer<never>(undefined, body, contentType, options.headers, options.status);
  }

  /** A body that is sent as it comes; it is cancelled when the caller goes away or at the stop. */
  static stream(
    body: ReadableStream<Uint8Array>,
    contentType: string,
    options: Options = {},
  ): Answer<never> {
    return new Answer<never>(undefined, body, contentType, options.headers, options.status);
  }
}

/** {@link Answer.of} */
export const of = Answer.of;
/** {@link Answer.bytes} */
export const bytes = Answer.bytes;
/** {@link Answer.stream} */
export const stream = Answer.stream;
