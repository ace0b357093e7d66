/** Numbers, times and sentences as the page words them. */

/** A length of time, rounded up to whole seconds. */
export const span = (ms) => {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) {
    return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  }
  return `${Math.floor(seconds / 86400)} d ${Math.floor(seconds / 3600) % 24} h`;
};

/** A share as whole percent; some is never written as none, nor nearly all as all. */
export const percent = (share) => {
  if (share > 0 && share < 0.01) return "< 1 %";
  if (share > 0.99 && share < 1) return "> 99 %";
  return `${Math.round(share * 100)} %`;
};

export const count = (number) => number.toLocaleString();

export const plural = (number, one, many = `${one}s`) =>
  `${count(number)} ${number === 1 ? one : many}`;

/** "a", "a and b", "a, b and c". */
export const enumeration = (names) =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;

/** How bad it was, from the counts of the state that was left; which rule it broke is not told. */
const failed = ({ requests, totalFailures, consecutiveFailures }) => {
  const row = consecutiveFailures > 1 ? `, ${count(consecutiveFailures)} in a row` : "";
  return `${count(totalFailures)} of ${plural(requests, "call")} failed${row}`;
};

/** What made an adaptive breaker open. */
const tripped = ({ rule, failures, requests, baseline }) => {
  if (rule === "slow-calls") return `${count(failures)} of ${plural(requests, "call")} were slow`;
  const calls = rule === "failure-rate"
    ? `${count(failures)} of ${plural(requests, "call")}`
    : `${plural(failures, "call")} in a row`;
  return `${calls} failed where ${percent(baseline)} is normal`;
};

const why = (trip, counts) => trip ? tripped(trip) : failed(counts);

/** One line of the event log. */
export const sentence = (entry) => {
  if (entry.dependency !== undefined) {
    return `${entry.dependency} ${entry.isConnected ? "answers again" : "does not answer"}`;
  }
  const { breaker, from, to, counts, manual, observed, trip } = entry;
  if (observed) return `${breaker} would have opened: ${why(trip, counts)}`;
  if (manual) return `${breaker} was ${to === "open" ? "forced open" : to} by an operator`;
  if (to === "half-open") return `${breaker} lets a few calls through to try`;
  if (to === "closed") return `${breaker} closed: calls succeed again`;
  if (from === "half-open") return `${breaker} opened again: a trial failed`;
  return `${breaker} opened: ${why(trip, counts)}`;
};

/** The same, short, on the breaker's own card. */
export const shortSentence = (entry) => {
  const { from, to, manual, observed } = entry;
  if (observed) return "would have opened";
  return `${from} → ${to}${manual ? " by an operator" : ""}`;
};

/** What colour an event has. */
export const kindOf = (entry) => {
  if (entry.dependency !== undefined) return entry.isConnected ? "good" : "bad";
  return entry.observed ? "half-open" : entry.to;
};

export const modes = {
  auto: "",
  "forced-open": "forced",
  disabled: "disabled",
  observe: "observed only",
};

/** What an operator may do, in the order in which it is offered. */
export const actions = {
  auto: ["Automatic", "Opens and closes by itself; ends what was set by hand."],
  open: ["Force open", "Turns every call away until another choice is made."],
  close: ["Close", "Lets calls through now; may open again by itself."],
  reset: ["Reset", "As new: closed, automatic, nothing counted."],
  disable: ["Disable", "Lets every call through and counts none."],
  observe: ["Observe only", "Counts, never opens, and says when it would have."],
};

/** What is normal for an adaptive breaker and what opens it. */
const standard = ({ baseline, threshold }) =>
  `; ${percent(baseline)} is normal, ${
    threshold < 1 ? `${percent(threshold)} opens` : "too few calls to open"
  }`;

/** What the recent calls of a breaker say: a large figure and what it means. */
export const rate = ({ state, mode, counts, failureRate, adaptive }) => {
  const { requests, totalFailures, totalSuccesses } = counts;
  const share = requests === 0 ? 0 : totalFailures / requests;
  if (mode === "disabled") return ["–", "calls pass and are not counted"];
  if (state === "half-open") return ["–", `${plural(totalSuccesses, "trial")} succeeded so far`];
  if (requests === 0) return ["–", "no recent calls"];
  if (state === "open") return [percent(share), `before it opened: ${why(adaptive?.trip, counts)}`];
  if (adaptive) return [percent(share), `${failed(counts)}${standard(adaptive)}`];
  if (failureRate === null) return [percent(share), `${failed(counts)}, too few to judge`];
  return [percent(share), failed(counts)];
};

/** When an open or half-open breaker lets a call through again; "" for a closed one. */
export const next = (breaker, now) => {
  const { state, openUntil } = breaker;
  if (state === "half-open") return "The next calls are trials";
  if (state !== "open") return "";
  if (openUntil === null) return "Turns every call away until an operator ends it";
  if (openUntil <= now) return `The next call is a trial`;
  return `Next trial in ${span(openUntil - now)}`;
};

/** What callers get of a service while one of its breakers turns calls away. */
const effects = {
  routing: {
    mongodb: "Callers: cached stores as usual, also expired ones; 503 for all else.",
    redis: "Callers: the same answers, slower, as long as MongoDB gives them.",
    jwks: "Callers: as usual with keys known here; 503 with new ones.",
  },
  auth: {
    mongodb: "Callers: as usual for tenants known here; 503 for others.",
    redis: "Callers: the same answers, with more calls to token endpoints.",
  },
};

const tenantEffect =
  "Callers of this tenant: tokens from the cache, else 503. Other tenants: as usual.";

/** What an open or half-open breaker means for callers; "" for a closed or unknown one. */
export const effect = (service, { name, state }) => {
  if (state === "closed") return "";
  if (service === "auth" && name.startsWith("token-exchange-")) return tenantEffect;
  return effects[service]?.[name] ?? "";
};
