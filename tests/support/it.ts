/**
 * `it` for Effect programs: `it.effect` runs one with TestContext (time moves by `TestClock`),
 * `it.live` with the real clock. Both close the effect's scope at the end and are silent: the
 * default logger is removed, so a test that looks at logs provides its own.
 *
 * A test that does not end is interrupted and fails after `timeout` of real time.
 */
import { clearImmediate, setImmediate } from "node:timers";
import {
  Cause,
  Duration,
  Effect,
  Exit,
  Fiber,
  Logger,
  type Scope,
  TestClock,
  TestContext,
} from "effect";
import type { TestServices } from "effect/TestServices";
import { describe, type It, it as bddIt, type TestOptions } from "./bdd.ts";

export { describe };
export { afterAll, afterEach, beforeAll, beforeEach } from "./bdd.ts";

/** Settings of one effectful test. */
export interface EffectTestOptions extends TestOptions {
  /** Real time after which the test is interrupted and fails [60 seconds]. */
  readonly timeout?: Duration.DurationInput;
}

/** Registers a test whose body is an Effect. */
export interface EffectIt<R> {
  <A, E>(name: string, body: () => Effect.Effect<A, E, R>, options?: EffectTestOptions): void;
  only<A, E>(name: string, body: () => Effect.Effect<A, E, R>, options?: EffectTestOptions): void;
  skip<A, E>(name: string, body: () => Effect.Effect<A, E, R>, options?: EffectTestOptions): void;
}

type Provide<R> = <A, E>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E>;

function effectIt<R>(provide: Provide<R>): EffectIt<R> {
  const register = (forced: TestOptions) =>
  <A, E>(
    name: string,
    body: () => Effect.Effect<A, E, R>,
    { timeout = "60 seconds", ...options }: EffectTestOptions = {},
  ) =>
    bddIt(name, { ...options, ...forced }, async () => {
      await runToEnd(provide(Effect.suspend(body)), timeout);
    });
  return Object.assign(register({}), {
    only: register({ only: true }),
    skip: register({ ignore: true }),
  });
}

async function runToEnd<A, E>(
  effect: Effect.Effect<A, E>,
  timeout: Duration.DurationInput,
): Promise<A> {
  const fiber = Effect.runFork(effect);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    Effect.runFork(Fiber.interrupt(fiber));
  }, Duration.toMillis(timeout));
  const exit = await Effect.runPromise(Fiber.await(fiber));
  clearTimeout(timer);
  if (timedOut) throw new Error(`Test did not end within ${Duration.format(timeout)}`);
  if (Exit.isSuccess(exit)) return exit.value;
  throw toError(exit.cause);
}

/**
 * A lone assertion error is thrown as it is, so that its difference is shown; all else becomes the
 * pretty cause with the fields of its typed errors, without this file's own stack frames.
 */
function toError(cause: Cause.Cause<unknown>): Error {
  const squashed = Cause.squash(cause);
  const lone = cause._tag === "Die" || cause._tag === "Fail";
  if (lone && squashed instanceof Error && squashed.name === "AssertionError") return squashed;
  const fields = Array.from(Cause.failures(cause))
    .filter((failure) => typeof failure === "object" && failure !== null && "_tag" in failure)
    .map((failure) => Deno.inspect({ ...failure }, { depth: 3 }));
  const pretty = [Cause.pretty(cause, { renderErrorCause: true }), ...fields].join("\n");
  const error = new Error(pretty);
  error.stack = "";
  return error;
}

const silent = Logger.remove(Logger.defaultLogger);

/** Whether the clock is moved in turns of the event loop; see `inTurns`. */
const isQuick = Deno.env.get("TEST_QUICK_CLOCK") === "true";

/**
 * Whenever `TestClock` is moved it waits, several times for a timer of 0 ms, which takes 1 ms at
 * least, until all other fibers are at rest. Turns of the event loop take a hundredth of that and do
 * as well for tests without I/O; mutation testing runs these by the thousand.
 */
const inTurns = TestClock.testClockWith((clock) =>
  Effect.sync(() => {
    const turn = Effect.async<void>((resume) => {
      const next = setImmediate(() => resume(Effect.void));
      return Effect.sync(() => clearImmediate(next));
    });
    Object.assign(clock, { yieldTimer: turn });
  })
);

/** Plain tests, and those of Effect programs, which may need a Scope. */
export interface EffectfulIt extends It {
  /** Runs the effect with TestContext: the clock stands still until `TestClock.adjust`. */
  readonly effect: EffectIt<Scope.Scope | TestServices>;
  /** Runs the effect with the real clock. */
  readonly live: EffectIt<Scope.Scope>;
}

/** `it` of the bdd module with `effect` and `live`. */
export const it: EffectfulIt = Object.assign(
  (...args: Parameters<It>) => bddIt(...args),
  {
    only: bddIt.only,
    ignore: bddIt.ignore,
    skip: bddIt.skip,
    todo: bddIt.todo,
    effect: effectIt<Scope.Scope | TestServices>((self) =>
      Effect.scoped(isQuick ? Effect.zipRight(inTurns, self) : self).pipe(
        Effect.provide(silent),
        Effect.provide(TestContext.TestContext),
      )
    ),
    live: effectIt<Scope.Scope>((self) => Effect.scoped(self).pipe(Effect.provide(silent))),
  },
);
