/**
 * What happened, newest first, and its announcement to those who hear the page. The log itself is
 * not announced: a new connection fills it again with what is known already.
 */
import { byId, timeElement } from "./card.js";
import { kindOf, plural, sentence } from "./text.js";

const maxEntries = 200;
const maxChanges = 3;
/** Changes that come so soon after each other (ms) are announced together. */
const together = 500;
const maxAnnounced = 3;

export const makeAnnouncer = () => {
  let waiting = [];
  let timer;

  const speak = () => {
    timer = undefined;
    const rest = waiting.length - maxAnnounced;
    const said = waiting.slice(0, maxAnnounced);
    if (rest > 0) said.push(`${plural(rest, "more event")}`);
    waiting = [];
    const line = document.createElement("span");
    line.textContent = `${said.join(". ")}.`;
    byId("announcer").replaceChildren(line);
  };

  return (text) => {
    waiting.push(text);
    timer ??= setTimeout(speak, together);
  };
};

export const makeLog = (onBreaker) => {
  const log = byId("log");
  const list = log.firstElementChild;
  const changes = new Map();

  const add = (entry) => {
    const item = document.createElement("li");
    item.dataset.kind = kindOf(entry);
    const text = document.createElement("span");
    text.textContent = sentence(entry);
    item.append(timeElement(entry.at), text);
    list.prepend(item);
    while (list.children.length > maxEntries) list.lastElementChild.remove();
    log.hidden = false;
    byId("log-empty").hidden = true;
    if (entry.breaker === undefined) return;
    const known = [entry, ...(changes.get(entry.breaker) ?? [])].slice(0, maxChanges);
    changes.set(entry.breaker, known);
    onBreaker(entry.breaker);
  };

  return {
    add,
    /** The server's own memory, sent with every connection, replaces what is shown. */
    replace: (entries) => {
      const before = [...changes.keys()];
      list.replaceChildren();
      changes.clear();
      for (const entry of entries) add(entry);
      for (const name of before) onBreaker(name);
      log.hidden = entries.length === 0;
      byId("log-empty").hidden = entries.length > 0;
    },
    changesOf: (name) => changes.get(name) ?? [],
  };
};
