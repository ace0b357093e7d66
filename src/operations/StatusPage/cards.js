/**
 * The list of cards: which are shown and in what order. With many breakers those that are closed
 * and left to themselves become small.
 */
import { byId, isQuiet, makeCard, setText } from "./card.js";
import { count, plural } from "./text.js";

/** From so many breakers on there is something to search through. */
const many = 9;
/** Nothing changes its place under a pointer that moved a moment ago (ms). */
const restAfter = 3000;

const isManual = ({ mode }) => mode !== "auto";

const filters = {
  all: ["all", () => true],
  open: ["open", ({ state }) => state === "open"],
  "half-open": ["half-open", ({ state }) => state === "half-open"],
  closed: ["closed", ({ state }) => state === "closed"],
  manual: ["set by hand", isManual],
};

const trouble = (breaker) => {
  if (breaker.state === "open") return 0;
  if (breaker.state === "half-open") return 1;
  return isManual(breaker) ? 2 : 3;
};

const byName = (one, other) => one.name < other.name ? -1 : one.name > other.name ? 1 : 0;

const share = ({ counts }) => counts.requests === 0 ? -1 : counts.totalFailures / counts.requests;

const orders = {
  trouble: (one, other) => trouble(one) - trouble(other) || byName(one, other),
  name: byName,
  rate: (one, other) => share(other) - share(one) || byName(one, other),
  rejected: (one, other) => other.rejected - one.rejected || byName(one, other),
};

export const makeCards = (onControl, changesOf) => {
  const list = byId("breakers");
  const cards = new Map();
  const buttons = new Map();
  let filter = "all";
  let lastMove = -Infinity;
  list.addEventListener("pointermove", () => lastMove = performance.now());

  const isInUse = () =>
    list.contains(document.activeElement) || performance.now() - lastMove < restAfter;

  const arrange = (isAsked) => {
    if (!isAsked && isInUse()) return;
    const inOrder = [...cards.values()]
      .sort((one, other) => orders[byId("order").value](one.breaker, other.breaker));
    inOrder.forEach(({ item }, index) => {
      if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
    });
  };

  const sift = () => {
    const part = byId("filter").value.trim().toLowerCase();
    let shown = 0;
    for (const { item, breaker } of cards.values()) {
      const fits = filters[filter][1](breaker) && breaker.name.toLowerCase().includes(part);
      item.hidden = !fits;
      if (fits) shown += 1;
    }
    byId("no-match").hidden = shown > 0 || cards.size === 0;
    const breakers = [...cards.values()].map(({ breaker }) => breaker);
    for (const [key, button] of buttons) {
      setText(button.lastElementChild, count(breakers.filter(filters[key][1]).length));
      button.setAttribute("aria-pressed", String(key === filter));
    }
  };

  for (const [key, [label]] of Object.entries(filters)) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(`${label} `, document.createElement("span"));
    button.addEventListener("click", () => {
      filter = key;
      sift();
    });
    buttons.set(key, button);
    byId("states").append(button);
  }
  byId("filter").addEventListener("input", sift);
  byId("order").addEventListener("change", () => arrange(true));

  const draw = (picture) => {
    const { breakers, total, at } = picture;
    const present = new Set();
    for (const breaker of breakers) {
      present.add(breaker.name);
      let card = cards.get(breaker.name);
      if (card === undefined) {
        card = makeCard(breaker.name, onControl);
        cards.set(breaker.name, card);
        list.append(card.item);
        card.drawChanges(changesOf(breaker.name));
      }
      card.draw(breaker, at, picture);
    }
    for (const [name, card] of cards) {
      if (present.has(name)) continue;
      card.item.remove();
      cards.delete(name);
    }
    const isMany = cards.size >= many;
    byId("tools").hidden = !isMany;
    list.toggleAttribute("data-many", isMany);
    const missing = total - breakers.length;
    byId("omitted").hidden = missing <= 0;
    const kind = breakers.every(isQuiet) || breakers.some(isQuiet) ? "closed " : "";
    setText(
      byId("omitted"),
      `${plural(missing, `more ${kind}breaker`)} ${missing === 1 ? "is" : "are"} not shown here.`,
    );
    arrange(false);
    sift();
  };

  return {
    draw,
    drawChanges: (name) => cards.get(name)?.drawChanges(changesOf(name)),
    breaker: (name) => cards.get(name)?.breaker,
  };
};
