/** First steps without a fiber: when they are taken, and what is left of an effect afterwards. */
import assert from "node:assert/strict";
import { Cause, Effect, Exit, Fiber, FiberId } from "effect";
import * as Immediate from "../../src/resilience/Immediate.ts";
import { describe, it } from "../support/it.ts";

describe("suspend()", () => {
  it.effect("takes its step when it is run, each time", () =>
    Effect.gen(function* () {
      let steps = 0;
      const effect = Immediate.suspend(() => Effect.succeed(++steps));
      assert.equal(steps, 0);
      assert.deepEqual([yield* effect, yield* effect], [1, 2]);
    }));
});

describe("begin()", () => {
  it("takes the step at once, and leaves any other effect alone", () => {
    const left = Effect.sync(() => 1);
    assert.equal(Immediate.begin(Immediate.suspend(() => left)), left);
    assert.equal(Immediate.begin(left), left);
  });
});

describe("resultOf()", () => {
  it("is the exit of what is done, and nothing of what is not", () => {
    const exit = Exit.succeed(1);
    assert.equal(Immediate.resultOf(exit), exit);
    assert.equal(Immediate.resultOf(Effect.sync(() => 1)), undefined);
  });
});

describe("canBegin()", () => {
  it("is true for steps, waits and results, and for nothing that needs a fiber", () => {
    const wait = new Immediate.Wait<number, never, never>((resume) => resume(Exit.succeed(1)));
    const step = Immediate.suspend(() => Effect.sync(() => 1));
    assert.deepEqual(
      [step, wait, Exit.fail("it"), Effect.sync(() => 1)].map(Immediate.canBegin),
      [true, true, true, false],
    );
  });
});

describe("isInterruption()", () => {
  it("is true for interruption alone", () => {
    const interrupt = Cause.interrupt(FiberId.none);
    const exits = [
      Exit.failCause(interrupt),
      Exit.failCause(Cause.parallel(interrupt, Cause.fail("it"))),
      Exit.fail("it"),
      Exit.succeed(1),
    ];
    assert.deepEqual(exits.map(Immediate.isInterruption), [true, false, false, false]);
  });
});

describe("flatMap()", () => {
  it("goes on with a value, and lets a failure pass", () => {
    const next = (value: number) => Exit.succeed(value + 1);
    assert.deepEqual(Immediate.flatMap(Exit.succeed(1), next), Exit.succeed(2));
    assert.deepEqual(Immediate.flatMap(Exit.fail("it"), next), Exit.fail("it"));
  });
});

describe("match()", () => {
  const sides = {
    onSuccess: (value: number) => Exit.succeed(`got ${value}`),
    onFailure: (error: string) => Exit.succeed(`lost ${error}`),
  };

  it("answers at once what a first step has settled", () => {
    const of = (exit: Exit.Exit<number, string>) =>
      Immediate.resultOf(Immediate.match(Immediate.suspend(() => exit), sides));
    assert.deepEqual(of(Exit.succeed(1)), Exit.succeed("got 1"));
    assert.deepEqual(of(Exit.fail("it")), Exit.succeed("lost it"));
    // A defect is nobody's to handle here.
    assert.equal(of(Exit.die("bug")), undefined);
  });

  it.effect("waits for what is not settled, and lets a defect pass", () =>
    Effect.gen(function* () {
      const later = <A, E>(effect: Effect.Effect<A, E>) =>
        Immediate.suspend(() => Effect.zipRight(Effect.yieldNow(), effect));
      assert.equal(yield* Immediate.match(later(Exit.succeed(2)), sides), "got 2");
      assert.equal(yield* Immediate.match(later(Exit.fail("it")), sides), "lost it");
      const exit = yield* Effect.exit(
        Immediate.match(Immediate.suspend(() => Exit.die("bug")), sides),
      );
      assert.deepEqual(exit, Exit.die("bug"));
    }));

  it.effect("handles the first of several failures", () =>
    Effect.gen(function* () {
      const both = Exit.failCause(Cause.sequential(Cause.fail("it"), Cause.fail("another")));
      assert.equal(yield* Immediate.match(Immediate.suspend(() => both), sides), "lost it");
    }));
});

/** A wait that the test ends. */
const waiting = () => {
  const ends: Array<(exit: Exit.Exit<number, string>) => void> = [];
  const wait = new Immediate.Wait<number, string, never>((resume) => ends.push(resume));
  return { wait, end: (exit: Exit.Exit<number, string>) => ends.forEach((resume) => resume(exit)) };
};

/** Starts what is left of an effect, as a server does; answers where its end will be. */
const started = (effect: Effect.Effect<unknown, unknown>) => {
  const seen: {
    rest: Effect.Effect<unknown, unknown> | undefined;
    exit: Exit.Exit<unknown, unknown> | undefined;
  } = { rest: undefined, exit: undefined };
  assert.ok(effect instanceof Immediate.Wait);
  // It waits for what the effect is.
  (effect as Immediate.Wait<unknown, unknown, never>).start((rest) => {
    seen.rest = rest;
    seen.exit = Immediate.resultOf(rest);
  });
  return seen;
};

describe("Wait", () => {
  it("goes on without a fiber, through all that follows it", () => {
    const { wait, end } = waiting();
    const all = Immediate.flatMap(
      Immediate.suspend(() => Immediate.flatMap(wait, (n) => Exit.succeed(n + 1))),
      (n) => Exit.succeed(`got ${n}`),
    );
    const seen = started(all);
    assert.equal(seen.exit, undefined);
    end(Exit.succeed(1));
    assert.deepEqual(seen.exit, Exit.succeed("got 2"));
  });

  it("waits again where a later step does, and passes a failure on", () => {
    const [first, second] = [waiting(), waiting()];
    const seen = started(Immediate.flatMap(first.wait, () => second.wait));
    first.end(Exit.succeed(1));
    assert.equal(seen.exit, undefined);
    second.end(Exit.fail("down"));
    assert.deepEqual(seen.exit, Exit.fail("down"));
  });

  it("turns what a later step throws into a defect", () => {
    const { wait, end } = waiting();
    const bug = new Error("bug");
    const seen = started(Immediate.flatMap(wait, (): Effect.Effect<never> => {
      throw bug;
    }));
    end(Exit.succeed(1));
    assert.deepEqual(seen.exit, Exit.die(bug));
  });

  it("hears the first call back and no other, as an answer may come after its deadline", () => {
    const { wait, end } = waiting();
    const later = waiting();
    const values: Array<number> = [];
    const seen = started(Immediate.flatMap(wait, (value) => {
      values.push(value);
      return later.wait;
    }));
    end(Exit.succeed(1));
    end(Exit.succeed(2));
    assert.deepEqual([values, seen.exit], [[1], undefined]);
    later.end(Exit.succeed(3));
    assert.deepEqual(seen.exit, Exit.succeed(3));
  });

  it("can be continued in several ways, and be started again", () => {
    const { wait, end } = waiting();
    const plus = (more: number) => Immediate.flatMap(wait, (n) => Exit.succeed(n + more));
    const [one, two] = [plus(1), plus(2)];
    const seen = [one, two, one, wait].map(started);
    end(Exit.succeed(1));
    assert.deepEqual(seen.map(({ exit }) => exit), [2, 3, 2, 1].map(Exit.succeed));
  });

  it.effect("leaves the steps behind one that needs a fiber to that fiber", () =>
    Effect.gen(function* () {
      const { wait, end } = waiting();
      const inFiber = Immediate.flatMap(wait, (n) => Effect.as(Effect.yieldNow(), n + 1));
      const all = Immediate.flatMap(
        Immediate.flatMap(inFiber, (n) => Exit.succeed(n * 10)),
        (n) => Exit.succeed(`got ${n}`),
      );
      const seen = started(all);
      end(Exit.succeed(1));
      assert.equal(seen.exit, undefined);
      assert.ok(seen.rest !== undefined);
      assert.deepEqual(yield* seen.rest, "got 20");
    }));

  it.effect("is an ordinary effect in a fiber", () =>
    Effect.gen(function* () {
      const now = new Immediate.Wait<number, never, never>((resume) => resume(Exit.succeed(3)));
      assert.equal(yield* Effect.map(now, (n) => n * 2), 6);
      const fiber = yield* Effect.fork(new Immediate.Wait<number, never, never>(() => {}));
      assert.ok(Exit.isInterrupted(yield* Fiber.interrupt(fiber)));
    }));

  it.effect("is left to the fiber's form of a step, where that has one", () =>
    Effect.gen(function* () {
      const step = Immediate.suspend(() => Exit.succeed("outside"), () => Effect.succeed("inside"));
      assert.deepEqual(Immediate.begin(step), Exit.succeed("outside"));
      assert.equal(yield* step, "inside");
    }));
});
