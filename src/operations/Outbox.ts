/**
 * Telemetry on its way out: batches that wait for one receiver, sent one after the other.
 *
 * Handing over never waits and never fails. What does not fit into the bounded memory, or is not
 * taken in time, is dropped and counted; a receiver that is dead or hangs costs nothing else. The
 * log says so once when it begins and once when it is over.
 */
import {
  FetchHttpClient,
  HttpBody,
  HttpClient,
  type HttpClientError,
  HttpClientRequest,
} from "@effect/platform";
import { Cause, Duration, Effect, Either, Exit, Option, Queue, type Scope } from "effect";
import { monotonicMillis } from "../resilience/Monotonic.ts";

/** What kind of items a batch holds. */
export type Signal = "traces" | "logs" | "items";

/** One batch, ready to be sent. */
export interface Batch {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: HttpBody.HttpBody;
  readonly signal: Signal;
  /** How many spans, records or envelopes it holds. */
  readonly items: number;
}

/** What could not be delivered since the start, by signal. */
export type Dropped = ReadonlyMap<Signal, number>;

/** Batches for one receiver. */
export interface Outbox {
  readonly offer: (batch: Batch) => void;
  /** Counts items that were dropped before they became a batch. */
  readonly drop: (signal: Signal, items: number) => void;
  /** Items that wait, those being sent included. */
  readonly pending: () => number;
  readonly dropped: () => Dropped;
  /**
   * Sends what waits, without retrying. Ends when all is sent, when the receiver turns out to be
   * dead, or after the time given; the rest is dropped.
   */
  readonly drain: (within: Duration.DurationInput) => Effect.Effect<void>;
}

export interface Options {
  /** The receiver's name in the log and in metrics. */
  readonly exporter: string;
  readonly signals: ReadonlyArray<Signal>;
  /** Most items kept; a batch that does not fit is dropped. */
  readonly maxItems: number;
  /** Time for one request in milliseconds. */
  readonly timeoutMillis: number;
  /** Time for one batch with its retries in milliseconds. */
  readonly exportMillis: number;
  /** Items that an answer of 2xx says it did not take [none]. */
  readonly rejected?: (body: string) => number;
}

/** Why a batch was not taken, and whether it is worth another try. */
class NotTaken {
  constructor(
    /** In words fit for the log: no addresses. */
    readonly reason: string,
    readonly isAlive: boolean,
    readonly isTransient: boolean,
    readonly retryAfterMillis: number,
  ) {}
}

/** Largest answer that is read, in characters; longer ones say nothing we look for. */
const maxAnswer = 65_536;

/** First pause after a failed attempt in milliseconds; it doubles up to the longest. */
const firstPause = 1_000;
const longestPause = 30_000;

const isTransient = (status: number): boolean => status === 408 || status === 429 || status >= 500;

/** Only the form in seconds: receivers of telemetry send no other. */
const retryAfterOf = (header: string | undefined): number =>
  header !== undefined && /^\d{1,6}$/.test(header.trim()) ? Number(header) * 1_000 : 0;

const sending = (client: HttpClient.HttpClient, options: Options) => {
  const post = (batch: Batch) =>
    Effect.gen(function* () {
      const request = HttpClientRequest.post(batch.url).pipe(
        HttpClientRequest.setHeaders(batch.headers),
        HttpClientRequest.setBody(batch.body),
      );
      const response = yield* client.execute(request);
      const length = Number(response.headers["content-length"] ?? "0");
      const text = length > maxAnswer ? "" : yield* response.text;
      if (response.status >= 200 && response.status < 300) {
        return Math.min(batch.items, options.rejected?.(text) ?? 0);
      }
      return yield* Effect.fail(
        new NotTaken(
          `status ${response.status}`,
          true,
          isTransient(response.status),
          retryAfterOf(response.headers["retry-after"]),
        ),
      );
    });
  const unreachable = (_: HttpClientError.HttpClientError) =>
    new NotTaken("it cannot be reached", false, true, 0);
  return (batch: Batch): Effect.Effect<number, NotTaken> =>
    post(batch).pipe(
      Effect.mapError((error) => error instanceof NotTaken ? error : unreachable(error)),
      Effect.timeoutFail({
        duration: options.timeoutMillis,
        onTimeout: () => new NotTaken("no answer in time", false, true, 0),
      }),
      Effect.withTracerEnabled(false),
    );
};

/** Sends until the scope closes; `drain` is to be run before that. */
export const make = (
  options: Options,
): Effect.Effect<Outbox, never, HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function* () {
    const { exporter, maxItems } = options;
    const clock = yield* Effect.clock;
    const send = sending(yield* HttpClient.HttpClient, options);
    const queue = yield* Queue.unbounded<Batch>();
    const draining = yield* Effect.makeLatch(false);
    const idle = yield* Effect.makeLatch(true);
    const dropped = new Map<Signal, number>(options.signals.map((signal) => [signal, 0]));
    let pending = 0;
    let isDraining = false;
    let isDead = false;
    let isFailing = false;

    const drop = (signal: Signal, items: number): void => {
      if (items > 0) dropped.set(signal, (dropped.get(signal) ?? 0) + items);
    };

    const tell = (failure: NotTaken | undefined): Effect.Effect<void> => {
      const wasFailing = isFailing;
      isFailing = failure !== undefined;
      if (isFailing === wasFailing) return Effect.void;
      return failure === undefined
        ? Effect.logInfo("Telemetry delivered again", { exporter })
        : Effect.logWarning("Telemetry not delivered", { exporter, error: failure.reason });
    };

    /** Tries until the batch is taken, refused for good, or its time is over. */
    const deliver = (batch: Batch, until: number, pause: number): Effect.Effect<number> =>
      Effect.flatMap(Effect.either(send(batch)), (result) => {
        if (Either.isRight(result)) return Effect.as(tell(undefined), result.right);
        const failure = result.left;
        if (isDraining && !failure.isAlive) isDead = true;
        const delay = Math.max(pause, failure.retryAfterMillis);
        const isLast = isDraining || !failure.isTransient ||
          monotonicMillis(clock) + delay >= until;
        if (isLast) return Effect.as(tell(failure), batch.items);
        return tell(failure).pipe(
          Effect.zipRight(Effect.raceFirst(Effect.sleep(delay), draining.await)),
          Effect.zipRight(deliver(batch, until, Math.min(longestPause, pause * 2))),
        );
      });

    const work = Effect.flatMap(Queue.take(queue), (batch) => {
      const until = monotonicMillis(clock) + options.exportMillis;
      const delivery = isDead ? Effect.succeed(batch.items) : deliver(batch, until, firstPause);
      return Effect.onExit(delivery, (exit) =>
        Effect.sync(() => {
          // What was interrupted or died on its way counts as lost.
          drop(batch.signal, Exit.isSuccess(exit) ? exit.value : batch.items);
          pending -= batch.items;
          if (pending === 0) idle.unsafeOpen();
        }));
    });
    yield* work.pipe(
      Effect.catchAllCause((cause) =>
        Cause.isInterrupted(cause)
          ? Effect.failCause(cause)
          : Effect.logError("Telemetry not delivered", cause)
      ),
      Effect.forever,
      // Neither the request nor the span of whoever came first is to be passed on.
      Effect.interruptible,
      Effect.forkScoped,
    );

    return {
      drop,
      pending: () => pending,
      dropped: () => dropped,
      offer: (batch) => {
        if (pending + batch.items > maxItems) return drop(batch.signal, batch.items);
        pending += batch.items;
        idle.unsafeClose();
        queue.unsafeOffer(batch);
      },
      drain: (within) =>
        Effect.gen(function* () {
          isDraining = true;
          yield* draining.open;
          // A finalizer runs this, and what must not be interrupted cannot be timed out either.
          const done = yield* Effect.timeoutOption(Effect.interruptible(idle.await), within);
          if (Option.isSome(done)) return;
          const error = "the process ends";
          yield* Effect.logWarning("Telemetry not delivered", { exporter, error, count: pending });
          // What is on its way is counted when it is interrupted.
          for (const { signal, items } of yield* Queue.takeAll(queue)) drop(signal, items);
        }),
    };
  });

/** The platform's client; redirects are answers, as they would carry keys elsewhere. */
export const withFetch = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  self.pipe(
    Effect.provide(FetchHttpClient.layer),
    Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" }),
  );
