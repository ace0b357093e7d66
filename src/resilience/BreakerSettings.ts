/**
 * What can be set on a circuit breaker, its defaults, and the check that every value is legal.
 *
 * Zero is a value, never "use the default"; only `undefined` means the default. All faults are
 * reported at once. Durations above 100 years count as 100 years, so nothing can overflow.
 */
import { Data, Duration, Effect, Either, Inspectable } from "effect";
import type { Rules as AdaptiveRules } from "./AdaptiveThreshold.ts";

/** Thresholds and times of one breaker; numbers of results are whole and at least 1. */
export interface Settings {
  /** How long a result counts. Finite, more than 0 [10 seconds]. */
  readonly window: Duration.DurationInput;
  /** Into how many buckets the window is cut; each a whole number of milliseconds wide [10]. */
  readonly buckets: number;
  /** Results needed before a rate is judged, at least 1 (resilience4j's minimumNumberOfCalls) [5]. */
  readonly minimumRequests: number;
  /** Share of failures, more than 0 up to 1, at or above which a failure opens the breaker [0.5]. */
  readonly failureRate: number;
  /** So many failures with no success between, however slowly, open it; `null` turns this off [5]. */
  readonly consecutiveFailures: number | null;
  /** First length of an opening, 0 or more [30 seconds]. */
  readonly openFor: Duration.DurationInput;
  /** Limit of the doubling after failed recoveries; at least `openFor` [`openFor`]. */
  readonly openForMax: Duration.DurationInput;
  /** Up to this share, 0 to 1, is added to each opening, so that replicas return apart [0.1]. */
  readonly openJitter: number;
  /** Trials in flight plus successes allowed while half-open (gobreaker's MaxRequests) [3]. */
  readonly halfOpenMax: number;
  /** After this long a trial that has not ended loses its place. Finite, more than 0 [10 seconds]. */
  readonly trialLease: Duration.DurationInput;
  /** A result that took at least this long is slow; `null` turns the rule off [null]. */
  readonly slowCallDuration: Duration.DurationInput | null;
  /** Share of slow results, more than 0 up to 1, at or above which a slow one opens it [0.5]. */
  readonly slowCallRate: number;
  /**
   * Whether failures are judged by what is normal for the dependency (`AdaptiveThreshold`); then
   * `minimumRequests`, `failureRate` and `consecutiveFailures` open nothing [false].
   */
  readonly adaptive: boolean;
  /** Share of failures, more than 0 up to 1, below which an adaptive breaker never opens [0.2]. */
  readonly adaptiveFloor: number;
  /** Highest adaptive threshold, given enough results; from `adaptiveFloor` to 1 [0.5]. */
  readonly adaptiveCeiling: number;
  /** Chance per result that ordinary noise opens an adaptive breaker; 1e-15 to 0.01 [1e-10]. */
  readonly adaptiveFalseAlarm: number;
  /** After this long a result has half its weight in what is normal. Finite, more than 0 [1 day]. */
  readonly adaptiveHalfLife: Duration.DurationInput;
}

/** 50 % of at least 5 results in 10 s, or 5 failures in a row, open for 30 s; 3 trials close. */
const defaults: Omit<Settings, "openForMax"> = {
  window: "10 seconds",
  buckets: 10,
  minimumRequests: 5,
  failureRate: 0.5,
  consecutiveFailures: 5,
  openFor: "30 seconds",
  openJitter: 0.1,
  halfOpenMax: 3,
  trialLease: "10 seconds",
  slowCallDuration: null,
  slowCallRate: 0.5,
  adaptive: false,
  adaptiveFloor: 0.2,
  adaptiveCeiling: 0.5,
  adaptiveFalseAlarm: 1e-10,
  adaptiveHalfLife: "1 day",
};

/** The same settings with every duration in milliseconds, as the state machine reads them. */
export interface Rules {
  readonly bucketWidth: number;
  readonly buckets: number;
  readonly minimumRequests: number;
  readonly failureRate: number;
  /** `Infinity` when the rule is off. */
  readonly consecutiveFailures: number;
  readonly openFor: number;
  readonly openForMax: number;
  readonly openJitter: number;
  readonly halfOpenMax: number;
  readonly trialLease: number;
  /** `Infinity` when the rule is off. */
  readonly slowCallDuration: number;
  readonly slowCallRate: number;
  /** `null` while the fixed rules decide. */
  readonly adaptive: AdaptiveRules | null;
}

/** A setting that cannot be used as it is: its name, the value given and the rule it breaks. */
export interface Problem {
  readonly setting: string;
  readonly value: unknown;
  readonly rule: string;
}

/** Every illegal setting of a breaker at once; nothing is silently replaced by a default. */
export class InvalidSettings extends Data.TaggedError("InvalidSettings")<{
  readonly breaker: string;
  readonly problems: ReadonlyArray<Problem>;
}> {
  override get message(): string {
    const list = this.problems.map(({ setting, value, rule }) =>
      `${setting} is ${Inspectable.toStringUnknown(value, 0)} but ${rule}`
    );
    return `Cannot make circuit breaker "${this.breaker}": ${list.join("; ")}`;
  }
}

/** 100 years: long enough for never, short enough to add to any clock without loss. */
const longest = Duration.toMillis(Duration.days(36_500));

/**
 * Milliseconds, or `undefined` for what is no duration. Effect's own decoding turns negative and
 * not-a-number durations into zero, which would hide a mistake, so those are caught here.
 */
export const millis = (input: unknown): number | undefined => {
  if (typeof input === "number") {
    return Number.isNaN(input) || input < 0 ? undefined : Math.min(input, longest);
  }
  if (typeof input === "bigint" && input < 0n) return undefined;
  if (typeof input === "string" && input.startsWith("-")) return undefined;
  if (Array.isArray(input) && !input.every((part) => Number(part) >= 0)) return undefined;
  return Either.getOrUndefined(
    Either.try(() =>
      // It throws on anything that is not a DurationInput; that is the answer we want.
      Math.min(Duration.toMillis(Duration.decode(input as Duration.DurationInput)), longest)
    ),
  );
};

/** A whole number of at least 1. */
export const isCount = (value: unknown): value is number =>
  Number.isInteger(value) && Number(value) >= 1;
/** A number of more than 0, up to 1. */
export const isShare = (value: unknown): value is number =>
  typeof value === "number" && value > 0 && value <= 1;
/** A duration of more than 0 that ends. */
export const isFinitePositive = (input: unknown): boolean =>
  input !== Infinity && !(Array.isArray(input) && input.includes(Infinity)) &&
  !(Duration.isDuration(input) && !Duration.isFinite(input)) && (millis(input) ?? 0) > 0;

/** The rules a breaker runs by, or every reason why these settings are illegal. */
export const decode = (
  breaker: string,
  partial: Partial<Settings> = {},
): Effect.Effect<Rules, InvalidSettings> => {
  const given: Partial<Settings> = Object.fromEntries(
    Object.entries(partial).filter(([, value]) => value !== undefined),
  );
  const settings: typeof defaults & Partial<Settings> = { ...defaults, ...given };
  const problems: Array<Problem> = [];
  const expect = (setting: keyof Settings, legal: boolean, rule: string) => {
    if (!legal) problems.push({ setting, value: settings[setting], rule });
  };

  const window = millis(settings.window) ?? 0;
  const openFor = millis(settings.openFor);
  const isMaxGiven = given.openForMax !== undefined;
  const openForMax = isMaxGiven ? millis(given.openForMax) : openFor;
  expect("window", isFinitePositive(settings.window), "must be finite and more than 0");
  expect("buckets", isCount(settings.buckets), "must be a whole number of at least 1");
  if (isFinitePositive(settings.window) && isCount(settings.buckets)) {
    const whole = Number.isInteger(window / settings.buckets);
    expect("window", whole, `must divide into ${settings.buckets} whole-millisecond buckets`);
  }
  expect("minimumRequests", isCount(settings.minimumRequests), "must be whole and at least 1");
  expect("failureRate", isShare(settings.failureRate), "must be more than 0 and at most 1");
  expect(
    "consecutiveFailures",
    settings.consecutiveFailures === null || isCount(settings.consecutiveFailures),
    "must be null or whole and at least 1",
  );
  expect("openFor", openFor !== undefined, "must be a duration of at least 0");
  expect("openForMax", openForMax !== undefined || !isMaxGiven, "must be a duration");
  if (openFor !== undefined && openForMax !== undefined) {
    expect("openForMax", openForMax >= openFor, "must be at least openFor");
  }
  const { openJitter } = settings;
  expect(
    "openJitter",
    typeof openJitter === "number" && openJitter >= 0 && openJitter <= 1,
    "must be from 0 to 1",
  );
  expect("halfOpenMax", isCount(settings.halfOpenMax), "must be whole and at least 1");
  expect("trialLease", isFinitePositive(settings.trialLease), "must be finite and more than 0");
  const slow = settings.slowCallDuration === null ? Infinity : millis(settings.slowCallDuration);
  expect("slowCallDuration", slow !== undefined, "must be null or a duration of at least 0");
  expect("slowCallRate", isShare(settings.slowCallRate), "must be more than 0 and at most 1");
  const { adaptiveFloor, adaptiveCeiling, adaptiveFalseAlarm, adaptiveHalfLife } = settings;
  expect("adaptive", typeof settings.adaptive === "boolean", "must be true or false");
  expect("adaptiveFloor", isShare(adaptiveFloor), "must be more than 0 and at most 1");
  expect(
    "adaptiveCeiling",
    isShare(adaptiveCeiling) && !(adaptiveCeiling < adaptiveFloor),
    "must be at most 1 and at least adaptiveFloor",
  );
  expect(
    "adaptiveFalseAlarm",
    isShare(adaptiveFalseAlarm) && adaptiveFalseAlarm >= 1e-15 && adaptiveFalseAlarm <= 0.01,
    "must be from 1e-15 to 0.01",
  );
  expect("adaptiveHalfLife", isFinitePositive(adaptiveHalfLife), "must be finite and more than 0");

  if (problems.length > 0) return Effect.fail(new InvalidSettings({ breaker, problems }));
  const bucketWidth = window / settings.buckets;
  return Effect.succeed({
    bucketWidth,
    buckets: settings.buckets,
    minimumRequests: settings.minimumRequests,
    failureRate: settings.failureRate,
    consecutiveFailures: settings.consecutiveFailures ?? Infinity,
    openFor: openFor ?? 0,
    openForMax: openForMax ?? 0,
    openJitter,
    halfOpenMax: settings.halfOpenMax,
    trialLease: millis(settings.trialLease) ?? 0,
    slowCallDuration: slow ?? Infinity,
    slowCallRate: settings.slowCallRate,
    adaptive: settings.adaptive
      ? {
        floor: adaptiveFloor,
        ceiling: adaptiveCeiling,
        evidence: -Math.log(adaptiveFalseAlarm),
        halfLife: (millis(adaptiveHalfLife) ?? 0) / bucketWidth,
      }
      : null,
  });
};
