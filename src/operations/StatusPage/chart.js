/**
 * Calls a second over the last minute, as bars: failed, succeeded, turned away, from the ground up.
 *
 * The feed tells totals only, so a bar is the difference of two pictures over the time between
 * them: none is lost when a picture is missed, and the bar is as wide as that time.
 */
import { count, plural, span } from "./text.js";

const minute = 60_000;
const width = 120;
const height = 35;

const kinds = ["failures", "successes", "rejected"];

/** The last minute of one breaker. */
export const makeSeries = () => {
  const bars = [];
  let last;

  const add = (at, totals) => {
    const isNext = last !== undefined && at > last.at;
    // A service that was started again counts from nothing: that is no bar.
    if (isNext && kinds.every((kind) => totals[kind] >= last[kind])) {
      const bar = { from: last.at, to: at };
      for (const kind of kinds) bar[kind] = totals[kind] - last[kind];
      bars.push(bar);
    }
    last = { at, ...Object.fromEntries(kinds.map((kind) => [kind, totals[kind]])) };
    while (bars.length > 0 && bars[0].to <= at - minute) bars.shift();
  };

  const sums = () =>
    Object.fromEntries(kinds.map((kind) => [kind, bars.reduce((sum, bar) => sum + bar[kind], 0)]));

  /** How far back (ms) the bars reach: no further than this page has been open. */
  const length = (now) => bars.length === 0 ? 0 : Math.min(minute, now - bars[0].from);

  return { add, sums, length, bars };
};

/** The outlines of the bars by kind, and the most calls a second among them. */
export const outlines = (bars, now) => {
  const perSecond = (bar, calls) => calls * 1000 / (bar.to - bar.from);
  const asked = (bar) => kinds.reduce((sum, kind) => sum + bar[kind], 0);
  const most = bars.reduce((most, bar) => Math.max(most, perSecond(bar, asked(bar))), 0);
  const paths = Object.fromEntries(kinds.map((kind) => [kind, ""]));
  const x = (at) => width * Math.max(0, 1 - (now - at) / minute);
  for (const bar of bars) {
    let y = height;
    const left = x(bar.from);
    const across = Math.max(0.5, x(bar.to) - left - 0.4);
    for (const kind of kinds) {
      if (bar[kind] === 0) continue;
      // What has happened at all must be seen, however much else there was.
      const up = Math.max(1.5, perSecond(bar, bar[kind]) / most * height);
      y = Math.max(0, y - up);
      paths[kind] += `M${left.toFixed(1)} ${y.toFixed(1)}h${across.toFixed(1)}v${up.toFixed(1)}h-${
        across.toFixed(1)
      }z`;
    }
  }
  return { paths, most };
};

/** What is drawn, and its scale; `length` (ms) is how far back it reaches. */
export const chartText = (length, most) => {
  if (length === 0) return "Calls a second, from now on";
  const past = length > 59_000 ? "minute" : span(length);
  if (most === 0) return `No calls in the last ${past}`;
  return `Calls a second over the last ${past}, at most ${count(Math.max(1, Math.round(most)))}`;
};

/** What the bars say, for those who do not see them. */
export const chartTitle = ({ successes, failures, rejected }) =>
  `Recently: ${plural(successes, "call")} succeeded, ${count(failures)} failed, ` +
  `${count(rejected)} turned away`;
