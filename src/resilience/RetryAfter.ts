/**
 * When a dependency says to come back: read from an error, or from HTTP's `Retry-After` field.
 */
import { Duration } from "effect";

/** When any error, a refusal or a dependency's own hint, says to come back; else `undefined`. */
export const retryAfterOf = (error: unknown): Duration.Duration | undefined => {
  if (typeof error !== "object" || error === null) return undefined;
  const hint: unknown = Reflect.get(error, "retryAfter");
  return Duration.isDuration(hint) ? hint : undefined;
};

/** Longest wait a header is believed: 1 hour. */
export const longest: Duration.Duration = Duration.hours(1);

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** The three forms of a date in RFC 9110 §5.6.7; the last two are obsolete but still to be read. */
const forms = [
  /^[A-Z][a-z]{2}, (?<day>\d{2}) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^[A-Z][a-z]{5,8}, (?<day>\d{2})-(?<month>[A-Z][a-z]{2})-(?<year>\d{2}) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) (?<time>\d\d:\d\d:\d\d) (?<year>\d{4})$/,
];

/**
 * The wait a `Retry-After` field asks for at `now` (epoch milliseconds): delta seconds or an HTTP
 * date, a past one being no wait. At most {@link longest}; `undefined` for anything else.
 */
export const parse = (field: string, now: number): Duration.Duration | undefined => {
  const value = field.trim();
  if (/^\d+$/.test(value)) return bounded(Number(value) * 1_000);
  for (const form of forms) {
    const groups = form.exec(value)?.groups;
    if (groups === undefined) continue;
    const instant = instantOf(groups, now);
    return instant === undefined ? undefined : bounded(instant - now);
  }
  return undefined;
};

const bounded = (ms: number): Duration.Duration =>
  Duration.min(Duration.millis(Math.max(0, ms)), longest);

const instantOf = (
  { day, month, year, time }: { readonly [group: string]: string | undefined },
  now: number,
): number | undefined => {
  const [hours, minutes, seconds] = (time ?? "").split(":").map(Number);
  const index = months.indexOf(month ?? "");
  if (index < 0 || !(Number(hours) < 24 && Number(minutes) < 60 && Number(seconds) <= 60)) {
    return undefined;
  }
  const fullYear = year?.length === 2 ? century(Number(year), now) : Number(year);
  const midnight = Date.UTC(fullYear, index, Number(day));
  // 30 February is not 1 March.
  if (new Date(midnight).getUTCDate() !== Number(day)) return undefined;
  return midnight + ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1_000;
};

/** A two-digit year is the one with these digits that is not more than 50 years ahead. */
const century = (year: number, now: number): number => {
  const thisYear = new Date(now).getUTCFullYear();
  const candidate = thisYear - thisYear % 100 + year;
  return candidate > thisYear + 50 ? candidate - 100 : candidate;
};
