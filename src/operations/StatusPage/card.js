/**
 * The card of one breaker. It is made once and changed in place, so that the focus stays where it is
 * while numbers change.
 */
import { chartText, chartTitle, makeSeries, outlines } from "./chart.js";
import { count, effect, modes, next, percent, rate, shortSentence, span } from "./text.js";

export const byId = (id) => document.getElementById(id);

export const setText = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

export const setBadge = (element, text, kind) => {
  setText(element, text);
  if (element.dataset.kind !== kind) element.dataset.kind = kind;
};

export const timeElement = (at) => {
  const element = document.createElement("time");
  const date = new Date(at);
  element.dateTime = date.toISOString();
  element.title = date.toLocaleString();
  element.textContent = date.toLocaleTimeString();
  return element;
};

/** Closed and left to itself: nothing that anybody must look at. */
export const isQuiet = ({ state, mode }) => state === "closed" && mode === "auto";

export const makeCard = (name, onControl) => {
  const item = byId("card").content.firstElementChild.cloneNode(true);
  const part = (selector) => item.querySelector(selector);
  const parts = {
    state: part(".state"),
    mode: part(".mode"),
    rateValue: part(".rate-value"),
    rateText: part(".rate-text"),
    next: part(".next"),
    nextText: part(".next-text"),
    effect: part(".effect"),
    progress: part("progress"),
    title: part(".chart title"),
    chartText: part(".chart-text"),
    since: part(".since"),
    changes: part(".changes"),
    details: part(".details"),
    act: part(".act"),
  };
  const bars = ["failures", "successes", "rejected"].map((kind) => [kind, part(`.bar-${kind}`)]);
  const counters = ["successes", "failures", "timeouts", "rejected"]
    .map((counter) => [counter, part(`.${counter}`)]);
  const series = makeSeries();

  setText(part(".name"), name);
  parts.progress.setAttribute("aria-label", `Open time of ${name} that is over`);
  parts.act.setAttribute("aria-label", `Control ${name}`);
  parts.act.addEventListener("click", () => onControl(name));
  parts.details.setAttribute("aria-label", `Details of ${name}`);
  parts.details.addEventListener("click", () => {
    const isExpanded = item.dataset.expanded === undefined;
    if (isExpanded) item.dataset.expanded = "";
    else delete item.dataset.expanded;
    parts.details.setAttribute("aria-expanded", String(isExpanded));
  });

  const drawNext = (breaker, now, service) => {
    const text = next(breaker, now);
    parts.next.hidden = text === "";
    setText(parts.nextText, text);
    setText(parts.effect, effect(service, breaker));
    const { state, openUntil, stateChangedAt } = breaker;
    const isTimed = state === "open" && openUntil !== null;
    parts.progress.hidden = !isTimed;
    if (!isTimed) return;
    const share = Math.min(1, (now - stateChangedAt) / Math.max(1, openUntil - stateChangedAt));
    parts.progress.value = Math.round(share * 1000);
    parts.progress.textContent = percent(share);
  };

  const drawChart = (now) => {
    const { paths, most } = outlines(series.bars, now);
    for (const [kind, path] of bars) {
      if (path.getAttribute("d") !== paths[kind]) path.setAttribute("d", paths[kind]);
    }
    setText(parts.title, chartTitle(series.sums()));
    setText(parts.chartText, chartText(series.length(now), most));
  };

  return {
    item,
    /** The newest that is known of the breaker. */
    breaker: undefined,
    draw(breaker, now, { service, hasAdmin }) {
      this.breaker = breaker;
      item.dataset.state = breaker.state;
      item.toggleAttribute("data-quiet", isQuiet(breaker));
      setBadge(parts.state, breaker.state, breaker.state);
      setText(parts.mode, modes[breaker.mode] ?? breaker.mode);
      const [value, text] = rate(breaker);
      setText(parts.rateValue, value);
      parts.rateValue.toggleAttribute("data-empty", value === "–");
      setText(parts.rateText, text);
      drawNext(breaker, now, service);
      series.add(now, breaker);
      drawChart(now);
      for (const [counter, element] of counters) setText(element, count(breaker[counter]));
      setText(parts.since, `${breaker.state} for ${span(now - breaker.stateChangedAt)}`);
      parts.act.hidden = !hasAdmin;
    },
    drawChanges(entries) {
      parts.changes.replaceChildren(...entries.map((entry) => {
        const line = document.createElement("li");
        line.append(timeElement(entry.at), ` ${shortSentence(entry)}`);
        return line;
      }));
    },
  };
};
