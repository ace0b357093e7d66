/**
 * The error of every policy here but the breaker (which has its own) whose settings are illegal,
 * and the way they are checked: zero is a value, `undefined` the default, all faults at once.
 */
import { Data, Either } from "effect";
import { isCount, isFinitePositive, isShare, millis, type Problem } from "./BreakerSettings.ts";

/** Every illegal setting of a policy at once; nothing is silently replaced by a default. */
export class InvalidPolicy extends Data.TaggedError("InvalidPolicy")<{
  /** Which policy: `retry`, `bulkhead`, … */
  readonly policy: string;
  readonly problems: ReadonlyArray<Problem>;
}> {
  override get message(): string {
    const list = this.problems.map(({ setting, value, rule }) =>
      `${setting} is ${String(value)} but ${rule}`
    );
    return `Cannot make ${this.policy}: ${list.join("; ")}`;
  }
}

/** One rule a setting can be held to: whether a value keeps it, and how to say that it does not. */
export interface Rule {
  readonly holds: (value: unknown) => boolean;
  readonly rule: string;
}

export const count: Rule = { holds: isCount, rule: "must be a whole number of at least 1" };

export const countOrZero: Rule = {
  holds: (value) => value === 0 || isCount(value),
  rule: "must be a whole number of at least 0",
};

export const share: Rule = { holds: isShare, rule: "must be more than 0 and at most 1" };

export const finite: Rule = {
  holds: (value) => typeof value === "number" && value >= 0 && value < Infinity,
  rule: "must be a finite number of at least 0",
};

export const positive: Rule = {
  holds: (value) => finite.holds(value) && value !== 0,
  rule: "must be a finite number of more than 0",
};

export const atLeastOne: Rule = {
  holds: (value) => finite.holds(value) && Number(value) >= 1,
  rule: "must be a finite number of at least 1",
};

export const duration: Rule = {
  holds: (value) => millis(value) !== undefined,
  rule: "must be a duration of at least 0",
};

export const positiveDuration: Rule = {
  holds: isFinitePositive,
  rule: "must be a finite duration of more than 0",
};

/** The settings with defaults filled in, or every reason why they are illegal. */
export const check = <S extends object>(
  policy: string,
  defaults: S,
  given: { readonly [K in keyof S]?: S[K] | undefined },
  rules: { readonly [K in keyof S]: Rule },
): Either.Either<S, InvalidPolicy> => {
  const settings: S = { ...defaults };
  const problems: Array<Problem> = [];
  for (const setting in rules) {
    const value = given[setting];
    if (value === undefined) continue;
    if (rules[setting].holds(value)) settings[setting] = value;
    else problems.push({ setting, value, rule: rules[setting].rule });
  }
  return problems.length === 0
    ? Either.right(settings)
    : Either.left(new InvalidPolicy({ policy, problems }));
};

/** Milliseconds of a duration that {@link check} has let pass; at most 100 years. */
export const toMillis = (checked: unknown): number => millis(checked) ?? 0;
