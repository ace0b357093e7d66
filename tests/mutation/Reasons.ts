/** Why mutants survive that do: every one must fit an entry here. */
import type { Survivor } from "./Results.ts";

interface Reason {
  /** The file it is in; in any file when left out. */
  readonly file?: string;
  /** Text that the line holds. */
  readonly line?: string;
  readonly mutator?: string;
  readonly replacement?: string;
  readonly why: string;
}

const reasons: ReadonlyArray<Reason> = [
  {
    file: "Retry",
    line: 'if (cause._tag === "Fail")',
    why: "A shorter way to the same answer for the commonest cause, a single failure",
  },
  {
    file: "SingleFlight",
    line: "flight.fiber === undefined",
    why: "Says to the type checker what is always so: the fiber is set before anybody can leave",
  },
  {
    file: "AttemptSpan",
    line: "captureStackTrace: false",
    why: "Spares the cost of a stack trace that nobody reads; the span says the same",
  },
  {
    file: "Deadline",
    line: "return deadline < fiber.getFiberRef(current)",
    why: "Of two equal deadlines it does not matter which is kept",
  },
  {
    file: "Deadline",
    line: "deadline === Infinity",
    why: "A shorter way to the same answer: infinitely many milliseconds are an infinite duration",
  },
  {
    file: "RollingCount",
    line: "if (this.#ring !== undefined) this.#advance(now)",
    why: "Keeps an unused count from taking memory; the answer is 0 either way",
  },
  {
    file: "RollingCount",
    line: "new Array<number>(this.#buckets)",
    why: "A slot that was never written reads as 0; the length is there to save growing",
  },
  {
    line: "extends Context.Tag(",
    mutator: "StringLiteral",
    why: "A tag's key need only differ from all others; nothing shows it",
  },
  {
    file: "CircuitBreakers",
    line: "options.families ?? []",
    why: "A family without a prefix is nobody's: no name begins with what is not there",
  },
  {
    file: "CircuitBreakers",
    line: "if (entries.size >= capacity && now < fullUntil) return;",
    replacement: "true",
    why: "Skips the tidying of a registry that has room: the next insertion does it",
  },
  {
    file: "AdaptiveThreshold",
    line: "if (newest.failures * normal.requests <= normal.failures * newest.requests) return 0;",
    replacement: "newest.failures * normal.requests < normal.failures * newest.requests",
    why: "Of two samples of one rate the evidence is 0 also when it is computed",
  },
  {
    file: "AdaptiveThreshold",
    line: "evidenceOf(normal, newest) >= rules.evidence;",
    replacement: "evidenceOf(normal, newest) > rules.evidence",
    why: "Sums of logarithms do not meet a bound exactly",
  },
  {
    file: "BreakerChange",
    line: "const wouldBeOpen =",
    replacement: "true",
    why: "Says to the type checker what is always so: no other state has the mark",
  },
  {
    file: "BreakerExplanation",
    line: "return tripAfter(rules, after",
    replacement: "true",
    why:
      "Failures that are too many have been told of when the last of them came, not at a success",
  },
  {
    file: "BreakerSettings",
    line: 'if (typeof input === "bigint" && input < 0n)',
    replacement: "true",
    why: "Says to the type checker what the comparison finds: all else below 0n is no duration",
  },
  {
    file: "BreakerRefusal",
    line: "const leases = state.trials",
    why: "With a lease that ends now a place is free, so nobody is turned away at that moment",
  },
  {
    file: "BreakerRefusal",
    line: "leases.length === 0",
    why: "Half-open turns away only while a trial holds a place",
  },
  {
    file: "BreakerRefusal",
    line: 'state._tag === "open" && state.mode === "auto"',
    replacement: "true",
    why: "Says to the type checker what is always so: a closed breaker turns nobody away",
  },
  {
    file: "BreakerState",
    line: 'if (state._tag !== "open" || state.mode !== "auto") return state;',
    why: "Says what the comparison finds: what is forced is due already, other states have no end",
  },
  {
    file: "BreakerState",
    line: "let hash = (seed + Math.imul(epoch",
    replacement: "seed - Math.imul(epoch, 0x9e3779b9)",
    why: "Counts epochs downwards, which spreads draws as evenly",
  },
  {
    file: "Bulkhead",
    line: "const waiter: Waiter = { isGranted: false, wake: undefined };",
    why: "Gives all waiters one shape; both fields are read for their truth alone",
  },
  {
    file: "Bulkhead",
    line: "if (this.#waiters.size > 0) this.#handOn();",
    why: "Spares a walk through nobody",
  },
  {
    file: "Guard",
    line: 'const isAnswer = cause._tag === "Fail" &&',
    why: "Says to the type checker what is always so: no other cause has an error",
  },
  {
    file: "Guard",
    line: "const isCutOff =",
    why: "Spares a limit that would be infinite",
  },
  {
    file: "Guard",
    line: "deadline !== Infinity && monotonicMillis(clockOf(fiber)) >= deadline",
    replacement: "true",
    why: "Spares reading the clock where there is no deadline to compare it with",
  },
  {
    file: "Guard",
    line: "++made",
    replacement: "--made",
    why: "The number is for spans, and a guard with these takes no attempt outside of a fiber",
  },
  {
    file: "Guard",
    line: "if (callOptions !== lastOptions) {",
    why: "Keeps what was made of the last options; made anew it is the same",
  },
  {
    file: "Hedge",
    line: 'Exit.isFailure(exit) && exit.cause._tag === "Fail" && isRefusal(exit.cause.error);',
    why: "Says to the type checker what is always so: failures alone are asked, few have an error",
  },
  {
    file: "RecoveryProbe",
    line: '{ interval: "1 second", timeout: "1 second" }',
    why: "Never read: an interval is always given, if only as not a number",
  },
  {
    file: "RecoveryProbe",
    line: "if ((yield* untilDue(breaker)) <= 0) return false;",
    why: "The loop's own look finds a moment later that there is nothing to wait for",
  },
  {
    file: "RecoveryProbe",
    line: "if (wait >= (yield* untilDue(breaker))) return;",
    replacement: "wait > (yield* untilDue(breaker))",
    why: "Decides about the one instant at which the opening ends by itself: no probe is made then",
  },
  {
    file: "RecoveryProbe",
    line: "if (running === fiber) running = undefined;",
    replacement: "false",
    why: "Frees the memory of a fiber that has ended; to interrupt that does nothing",
  },
  {
    file: "RecoveryProbe",
    line: 'if (breaker.unsafeState() === "open") start();',
    replacement: "true",
    why: "Spares every breaker that is watched while closed a fiber that ends at once",
  },
  {
    file: "RateLimiter",
    line: "const noLimits",
    why: "Never read: both settings are always given, if only as not a number",
  },
  {
    file: "RateLimiter",
    line: "#tokens: TokenBucket.State =",
    why: "Written with the close that begins a ramp, before anybody takes from it",
  },
  {
    file: "RateLimiter",
    line: "this.#from !== undefined",
    replacement: "true",
    why: "Without a ramp the comparison after it is one with not a number, and false",
  },
  {
    file: "RollingCount",
    line: "if (index <= this.#index) return ring;",
    why: "In the current bucket there is nothing to move; asked for it, the loop runs no time",
  },
  {
    file: "RollingCount",
    line: "if (index - this.#index >= this.#buckets)",
    replacement: "index - this.#index > this.#buckets",
    why: "At exactly one window either way empties every bucket; the first is the shorter",
  },
  {
    file: "Classification",
    line: 'failure._tag === "None"',
    why: "Says to the type checker what the next condition finds too: none has no value",
  },
  {
    file: "RecentQuantile",
    line: "for (let bucket = ",
    why:
      "Reads or writes past an end of a typed array, which neither holds nor keeps anything there",
  },
  {
    file: "TransitionCounts",
    line: "return list ?? [];",
    why: "Says to the type checker what is always so: what is known was in a list",
  },
  {
    file: "CircuitBreakers",
    line: 'return "more";',
    why: "A word that is compared with others only; any other one does as well",
  },
  {
    file: "BreakerExplanation",
    line: "return tripAfter(rules, after",
    replacement: "true",
    why:
      "Failures that are too many have been told of when the last of them came, not at a success",
  },
  {
    file: "RollingWindow",
    line: "past: past.length === 0 ? noBuckets : past,",
    replacement: "false",
    why: "Lets all windows without a past share one empty list",
  },
  {
    file: "RollingWindow",
    line: "isCurrentEmpty && window.past.length === 0",
    why: "A shorter way to the same answer for a window that has nothing to lose",
  },
  {
    file: "RetryAfter",
    replacement: '"Stryker was here!"',
    why: "Says to the type checker what is always so: every form has this group",
  },
  {
    file: "RetryAfter",
    line: "year?.length === 2",
    why: "Says to the type checker what is always so: every form has this group",
  },
  {
    file: "Breaker",
    line: "lastSingle[0] === listener",
    why: "Lets breakers with the one same listener share a list",
  },
  {
    file: "Breaker",
    line: "const isMixed = ",
    why: "The handler below has not run, so the fiber was interrupted: the first two always hold",
  },
  {
    file: "Breaker",
    line: "if (classify === classifyExit &&",
    replacement: "false",
    why: "A shorter way to the same answer for most calls",
  },
  {
    file: "Breaker",
    line: "if (this.#policy.step(state, ask, now + 1) === state)",
    replacement: "false",
    why: "A shorter way to the same answer for most calls: the longer one refuses them, too",
  },
  {
    file: "Breaker",
    line: "const isAdmitted = ",
    replacement: "false",
    why: "What is due has no time left to wait, so both ways say zero",
  },
  {
    file: "Breaker",
    line: "if (this.#listeners.length === 0) this.#listeners = ",
    why: "Lets breakers with the one same listener share a list",
  },
  {
    file: "Breaker",
    line: "return this.#trouble?.lastRejection?.error;",
    why: "Says to the type checker what is always so: the refusal before has just been kept",
  },
  {
    file: "Breaker",
    line: 'next._tag !== "half-open"',
    replacement: "false",
    why: "Says to the type checker what is always so: what admits and is not closed is half-open",
  },
  {
    file: "Breaker",
    line: 'this.#commit(clock, now, state, next, "admission");',
    why: "A word that is compared with others only; any other one does as well",
  },
  {
    file: "Breaker",
    line: 'if (outcome === "failure") hints = ',
    replacement: "true",
    why: "Spares a look at what is used of failures only",
  },
  {
    file: "Breaker",
    line: 'if (outcome === "success" && this.#policy.countsRuns)',
    why: "A shorter way to the same counts for most calls",
  },
  {
    file: "Breaker",
    line: 'if (state._tag !== "closed" || state.epoch !== admission.epoch)',
    why: "A shorter way to the same counts for most calls",
  },
  {
    file: "Breaker",
    line: "if (index > this.#runIndex)",
    why: "A run that becomes part of the state early changes nothing; time does not go back",
  },
  {
    file: "Breaker",
    line: 'if (this.#run === 0 || state._tag !== "closed")',
    replacement: "false",
    why: "Says to the type checker what is always so: only a closed state has a run",
  },
  {
    file: "Breaker",
    line: "if (state.epoch !== admission.epoch) return;",
    replacement: "false",
    why:
      "A shorter way to the same answer: the step leaves a state to which a result does not belong",
  },
  {
    file: "Breaker",
    line: 'jitter: outcome === "failure" ||',
    replacement: "true",
    why: "Spares the making of a number that is used only where something opens",
  },
  {
    file: "Breaker",
    line: "if (this.#listeners.length === 0) return;",
    replacement: "false",
    why: "Spares the making of a change of which nobody is told",
  },
  {
    file: "RateLimiter",
    line: "const since = this.#from === undefined",
    replacement: "false",
    why: "Says to the type checker what is always so: no time since nothing is below any length",
  },
];

const fits = (reason: Reason, file: string, survivor: Survivor): boolean =>
  (reason.file === undefined || reason.file === file) &&
  (reason.line === undefined || survivor.line.includes(reason.line)) &&
  (reason.mutator === undefined || reason.mutator === survivor.mutator) &&
  (reason.replacement === undefined || reason.replacement === survivor.replacement);

/** The first reason that fits, or undefined: then a test is missing. */
export const reasonFor = (file: string, survivor: Survivor): string | undefined =>
  reasons.find((reason) => fits(reason, file, survivor))?.why;

/** Reasons for what no longer survives. */
export const idleReasons = (
  survivors: ReadonlyArray<readonly [file: string, Survivor]>,
): ReadonlyArray<Reason> =>
  reasons.filter((reason) => !survivors.some(([file, survivor]) => fits(reason, file, survivor)));
