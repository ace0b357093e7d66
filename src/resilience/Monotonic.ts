/**
 * Elapsed time for every decision in this folder: Effect's `Clock` read in a form that a jump of the
 * wall clock does not touch, and that `TestClock` still moves.
 */
import { Clock, Context, DefaultServices } from "effect";

/** The clock of every runtime that was not given another one. */
const liveClock = Context.get(DefaultServices.liveServices, Clock.Clock);

/**
 * Milliseconds since an arbitrary origin, never going back when the wall clock is set. Of the live
 * clock the same source is read without its bigint, which would make up a third of the cost; any
 * other clock is asked itself. Nanoseconds since 1970 do not fit a double, so they are rounded to
 * microseconds: whole milliseconds stay whole, which "at exactly the expiry" depends on.
 */
export const monotonicMillis = (clock: Clock.Clock): number =>
  clock === liveClock
    ? performance.now()
    : Math.round(Number(clock.unsafeCurrentTimeNanos()) / 1e3) / 1e3;

let readAt = NaN;
let reading = 0;

/**
 * `monotonicMillis` for what runs on every call: of the live clock one reading serves for the wall
 * clock's millisecond in which it was taken, as looking at that costs half as much (0.05 µs). So it
 * is at most 1 ms behind; a jump of the wall clock only ends it early.
 */
export const recentMillis = (clock: Clock.Clock): number => {
  if (clock !== liveClock) return monotonicMillis(clock);
  const wall = Date.now();
  if (wall !== readAt) {
    readAt = wall;
    reading = performance.now();
  }
  return reading;
};

/** The clock of a running fiber, read without an effect of its own. */
export const clockOf = (
  fiber: { readonly currentDefaultServices: Context.Context<DefaultServices.DefaultServices> },
): Clock.Clock => fiber.currentDefaultServices.unsafeMap.get(Clock.Clock.key) ?? liveClock;
