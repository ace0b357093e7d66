/** Random histories of calls, run through a policy; the same is done with what it stands for. */
import type { Contender, State } from "../Policy.ts";
import { Rng } from "../Rng.ts";

/** A call begins, or the call that began as number `call` ends. Times rise. */
export type Line =
  | { readonly at: number; readonly begin: number }
  | { readonly at: number; readonly end: number; readonly succeeds: boolean };

/** Calls with phases of many and few failures, some slow ones, and gaps longer than any open time. */
export const script = (seed: number, calls: number): ReadonlyArray<Line> => {
  const random = new Rng(seed, 9);
  const lines: Array<Line> = [];
  let at = 0;
  let failing = 0;
  for (let call = 0; call < calls; call += 1) {
    if (call % 40 === 0) failing = [0, 0.1, 0.6, 1, 0.3][random.below(5)] ?? 0;
    // Odd times: nothing is ever due in the very millisecond in which a library's timer runs.
    at += 2 *
      Math.ceil(random.uniform() < 0.02 ? random.exponential(20_000) : random.exponential(150));
    const length = random.uniform() < 0.1 ? 2 * Math.ceil(random.exponential(2_000)) : 2;
    lines.push({ at: at + 1, begin: call });
    lines.push({ at: at + 1 + length, end: call, succeeds: random.uniform() >= failing });
  }
  return lines.toSorted((one, other) => one.at - other.at);
};

/** `yes` made, `no` refused, `held`; and the state after every line. */
export const followed = (
  contender: Contender,
  lines: ReadonlyArray<Line>,
): ReadonlyArray<string> => {
  const policy = contender.make({
    random: new Rng(0),
    schedule: () => {},
    probe: () => false,
    onChange: () => {},
  });
  const tickets = new Map<number, number>();
  return lines.map((line) => {
    if ("begin" in line) {
      const ticket = policy.ask(line.at, 0);
      if (ticket >= 0) tickets.set(line.begin, ticket);
      const said = ticket >= 0 ? "yes" : ticket === -1 ? "no" : "held";
      return `${line.at} ${said} ${policy.state() satisfies State}`;
    }
    const ticket = tickets.get(line.end);
    if (ticket !== undefined) policy.settle(ticket, line.succeeds, line.at, 0);
    return `${line.at} ${policy.state()}`;
  });
};
