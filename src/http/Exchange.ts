/**
 * One request whose route is known, and its answer: the fast path of the server.
 *
 * A request whose gates and handler need not wait is answered within one call, without a promise.
 * What that trades: the caller's leaving and the deadline are watched only for requests that had to
 * wait (see InFlight), and durations come from `performance.now`, not from Effect's clock.
 */
import { Cause, Duration, Effect, type Exit, type Fiber, FiberId, Option } from "effect";
import * as Immediate from "../resilience/Immediate.ts";
import { Answer } from "./Answer.ts";
import { readJson } from "./Body.ts";
import type { Watched } from "./InFlight.ts";
import * as Header from "./Header.ts";
import * as Problem from "./Problem.ts";
import type { RequestContext } from "./RequestContext.ts";
import { type Asked, observe, respond, respondProblem } from "./Respond.ts";
import type { PathParams } from "./Router.ts";
import type { Route } from "./RouteTable.ts";
import { fork, logDefect, type Serving } from "./Serving.ts";
import { parseQuery } from "./Target.ts";

/** Status in logs and metrics for a caller that did not wait; nobody ever receives it. */
const callerGone = 499;

/** What a 503 of the server itself tells the caller to wait. */
const shortly = Duration.seconds(1);

/** The 503 of a request that this server could not finish or take on. */
export const unavailable = (serving: Serving): Problem.ServiceUnavailable =>
  new Problem.ServiceUnavailable({ error: serving.unavailable, retryAfter: shortly });

/** One request whose route is known. */
export class Exchange implements Asked, Watched {
  readonly startedAt: number;
  readonly service: boolean;
  slot: number | undefined;
  isWatched = false;
  #fiber: Fiber.RuntimeFiber<unknown, unknown> | undefined;
  /** Set while the answer is waited for. */
  #resolve: ((answer: Response) => void) | undefined;
  #readingBody = false;

  constructor(
    readonly serving: Serving,
    readonly request: Request,
    readonly context: RequestContext,
    readonly label: string,
    readonly route: Route,
    readonly params: PathParams,
    readonly query: string,
  ) {
    this.startedAt = context.startedAt;
    this.service = route.service;
  }

  /** The answer, at once if nothing had to be waited for. */
  start(): Response | Promise<Response> {
    const work = this.#work();
    if (Problem.isProblem(work)) return respondProblem(this, work);
    const result = Immediate.resultOf(work);
    if (result !== undefined) return this.#answer(result);
    if (!(work instanceof Immediate.Wait)) {
      const fiber = fork(this.serving.runtime, this.context, work);
      const exit = fiber.unsafePoll();
      if (exit !== null) return this.#answer(exit);
      return this.#wait(() => this.#watch(fiber));
    }
    return this.#wait(() => work.start((rest) => this.#continue(rest)));
  }

  #wait(begin: () => void): Promise<Response> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.serving.inFlight.add(this);
      begin();
    });
  }

  /** Goes on until there is an answer; what nobody waits for any more is not begun. */
  #continue(work: Effect.Effect<unknown, unknown, unknown>): void {
    if (this.#resolve === undefined) return;
    if (Problem.isProblem(work)) return this.#settle(() => respondProblem(this, work));
    const result = Immediate.resultOf(work);
    if (result !== undefined) return this.#settle(() => this.#answer(result));
    this.#watch(fork(this.serving.runtime, this.context, work));
  }

  #watch(fiber: Fiber.RuntimeFiber<unknown, unknown>): void {
    this.#fiber = fiber;
    fiber.addObserver((exit) => {
      if (this.#resolve !== undefined) return this.#settle(() => this.#answer(exit));
      if (exit._tag === "Failure" && Cause.isDie(exit.cause)) this.#log(exit.cause);
    });
  }

  expire(): void {
    const problem = this.#readingBody
      // The rest of the body may still come: the connection cannot be used again.
      ? new Problem.RequestTimeout({ headers: [Header.closing] })
      : unavailable(this.serving);
    this.#settle(() => respondProblem(this, problem));
    this.#fiber?.unsafeInterruptAsFork(FiberId.none);
  }

  watchCaller(): void {
    const { signal } = this.request;
    if (signal.aborted) this.#abandon();
    else signal.addEventListener("abort", () => this.#abandon(), { once: true });
  }

  /** The caller has gone: nobody to answer, and no work worth finishing. */
  #abandon(): void {
    this.#settle(() => {
      observe(this, callerGone);
      return new Response(null, { status: callerGone });
    });
    this.#fiber?.unsafeInterruptAsFork(FiberId.none);
  }

  /** The first to come decides; what comes later has nobody to answer. */
  #settle(answer: () => Response): void {
    const resolve = this.#resolve;
    if (resolve === undefined) return;
    this.#resolve = undefined;
    this.serving.inFlight.remove(this);
    try {
      resolve(answer());
    } catch (defect) {
      // Whatever is wrong with an answer, its caller must not wait for ever.
      resolve(this.#answerDefect(Cause.die(defect)));
    }
  }

  #work(): Effect.Effect<unknown, unknown, unknown> {
    try {
      return this.#enter(0);
    } catch (defect) {
      return Effect.die(defect);
    }
  }

  /** Passes the gates from this one on; then decodes and hands over to the handler. */
  #enter(from: number): Effect.Effect<unknown, unknown, unknown> {
    const { gates } = this.route;
    for (let i = from; i < gates.length; i++) {
      const verdict = gates[i]?.enter(this.request, this.context);
      if (verdict === undefined) continue;
      if (Problem.isProblem(verdict)) return verdict;
      return Effect.flatMap(verdict, (late) => late ?? this.#enter(i + 1));
    }
    return this.#handle();
  }

  #handle(): Effect.Effect<unknown, unknown, unknown> {
    const { route, request, context } = this;
    const path = route.path === null ? undefined : route.path(this.params);
    if (Problem.isProblem(path)) return path;
    const urlParams = route.urlParams === null
      ? undefined
      : route.urlParams(parseQuery(this.query));
    if (Problem.isProblem(urlParams)) return urlParams;
    const headers = route.headers === null
      ? undefined
      : route.headers(Object.fromEntries(request.headers));
    if (Problem.isProblem(headers)) return headers;
    const handle = (payload: unknown) =>
      route.handler({ path, urlParams, payload, headers, context, request });
    if (route.payload === null) return handle(undefined);
    const decode = route.payload;
    this.#readingBody = true;
    return Immediate.flatMap(readJson(request, this.serving.maxBodyBytes), (json) => {
      this.#readingBody = false;
      const payload = decode(json);
      if (Problem.isProblem(payload)) return payload;
      return handle(payload);
    });
  }

  #answer(exit: Exit.Exit<unknown, unknown>): Response {
    if (exit._tag === "Failure") return this.#answerFailure(exit.cause);
    try {
      return this.#answerSuccess(exit.value);
    } catch (error) {
      return this.#answerDefect(Cause.die(error));
    }
  }

  #answerSuccess(value: unknown): Response {
    const { route } = this;
    if (!(value instanceof Answer)) {
      const { status, contentType, encode } = route.success;
      return respond(this, { status, contentType, body: encode(value) });
    }
    const { headers, raw } = value;
    const status = value.status ?? route.success.status;
    if (raw !== undefined) {
      return respond(this, { status, contentType: value.contentType, body: raw, headers });
    }
    const { contentType, encode } = route.successes.get(status) ?? route.success;
    return respond(this, { status, contentType, body: encode(value.value), headers });
  }

  #answerFailure(cause: Cause.Cause<unknown>): Response {
    const failure = cause._tag === "Fail" ? cause : firstFailure(cause);
    if (failure === undefined) {
      return Cause.isInterruptedOnly(cause)
        ? respondProblem(this, unavailable(this.serving))
        : this.#answerDefect(cause);
    }
    // A declared error beside a defect, in a finalizer say: answered, and still heard of.
    if (failure !== cause) this.#log(cause);
    const { error } = failure;
    if (Problem.isProblem(error)) return respondProblem(this, error);
    try {
      const encoded = this.route.encodeError(error);
      if (encoded !== undefined) return respond(this, encoded);
    } catch (defect) {
      return this.#answerDefect(Cause.parallel(cause, Cause.die(defect)));
    }
    return this.#answerDefect(cause);
  }

  #answerDefect(cause: Cause.Cause<unknown>): Response {
    this.#log(cause);
    return respondProblem(this, new Problem.InternalServerError());
  }

  #log(cause: Cause.Cause<unknown>): void {
    logDefect(this.serving.runtime, this.context, this.label, cause);
  }
}

const firstFailure = (cause: Cause.Cause<unknown>): Cause.Fail<unknown> | undefined => {
  const found = Cause.find(
    cause,
    (part) => part._tag === "Fail" ? Option.some(part) : Option.none(),
  );
  return Option.getOrUndefined(found);
};
