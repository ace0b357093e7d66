/**
 * The status page in the browser: draws what the event stream says, and sends an operator's
 * actions. All text is set as text, never as markup. Cards are kept and changed in place, so that
 * the focus stays where it is while numbers change.
 */
(() => {
  "use strict";

  const actions = {
    open: "Force open",
    close: "Close",
    reset: "Reset",
    disable: "Disable",
    observe: "Observe only",
    auto: "Automatic",
  };
  const modes = {
    auto: "",
    "forced-open": "forced open by an operator",
    disabled: "disabled: all calls pass",
    observe: "observing: never opens",
  };
  const tokenKey = "amicis-admin-token";
  const maxPoints = 60;
  const maxEntries = 200;
  const maxChangesShown = 3;
  /** No picture for so long (ms): what is shown is old. */
  const staleAfter = 5000;

  const byId = (id) => document.getElementById(id);
  const cards = new Map();
  const changes = new Map();
  let token = sessionStorage.getItem(tokenKey) ?? "";
  let hasAdmin = false;
  let lastPicture = 0;

  const setText = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  const setBadge = (element, text, kind) => {
    setText(element, text);
    if (element.dataset.kind !== kind) element.dataset.kind = kind;
  };

  const span = (ms) => {
    const seconds = Math.max(0, Math.ceil(ms / 1000));
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
    if (seconds < 86400) {
      return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
    }
    return `${Math.floor(seconds / 86400)} d ${Math.floor(seconds / 3600) % 24} h`;
  };

  const percent = (share) => `${Math.round(share * 100)} %`;

  const timeElement = (at) => {
    const element = document.createElement("time");
    const date = new Date(at);
    element.dateTime = date.toISOString();
    element.textContent = date.toLocaleTimeString();
    return element;
  };

  // --- breakers ---------------------------------------------------------------------------------

  const makeCard = (name) => {
    const item = byId("card").content.firstElementChild.cloneNode(true);
    const part = (selector) => item.querySelector(selector);
    part(".name").textContent = name;
    const group = part(".actions");
    group.setAttribute("aria-label", `Actions on ${name}`);
    for (const [action, label] of Object.entries(actions)) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.setAttribute("aria-label", `${label}: ${name}`);
      button.addEventListener("click", () => act(name, action, button));
      group.append(button);
    }
    return { item, part, points: [] };
  };

  const nextText = (breaker, now) => {
    if (breaker.state === "half-open") return "Trying a few calls now";
    if (breaker.state !== "open") return "";
    if (breaker.openUntil === null) return "Stays open until an operator ends it";
    return breaker.openUntil > now
      ? `Next trial in ${span(breaker.openUntil - now)}`
      : "The next call is a trial";
  };

  const drawSpark = (card, share) => {
    card.points.push(share);
    if (card.points.length > maxPoints) card.points.shift();
    const step = 120 / (maxPoints - 1);
    const left = 120 - (card.points.length - 1) * step;
    const points = card.points
      .map((value, index) => `${(left + index * step).toFixed(1)},${(31 - value * 30).toFixed(1)}`)
      .join(" ");
    card.part(".spark polyline").setAttribute("points", points);
    const highest = Math.max(...card.points);
    setText(
      card.part(".spark title"),
      `Failure rate over the last minute: now ${percent(share)}, highest ${percent(highest)}`,
    );
  };

  const drawBreaker = (card, breaker, now) => {
    const { counts } = breaker;
    const share = counts.requests === 0 ? 0 : counts.totalFailures / counts.requests;
    card.item.dataset.state = breaker.state;
    setBadge(card.part(".state"), breaker.state, breaker.state);
    setText(card.part(".mode"), modes[breaker.mode] ?? breaker.mode);
    setText(card.part(".next"), nextText(breaker, now));
    setText(
      card.part(".rate-value"),
      counts.requests === 0 ? "No recent calls" : `${percent(share)} of ${counts.requests} failed`,
    );
    drawSpark(card, share);
    for (const counter of ["successes", "failures", "timeouts", "rejected"]) {
      setText(card.part(`.${counter}`), breaker[counter].toLocaleString());
    }
    setText(card.part(".changed"), `In this state for ${span(now - breaker.stateChangedAt)}`);
    card.part(".actions").hidden = !hasAdmin || token === "";
  };

  const drawBreakers = (picture) => {
    const list = byId("breakers");
    const present = new Set();
    for (const breaker of picture.breakers) {
      present.add(breaker.name);
      let card = cards.get(breaker.name);
      if (card === undefined) {
        card = makeCard(breaker.name);
        cards.set(breaker.name, card);
        list.append(card.item);
        drawChanges(breaker.name);
      }
      drawBreaker(card, breaker, picture.at);
    }
    for (const [name, card] of cards) {
      if (present.has(name)) continue;
      card.item.remove();
      cards.delete(name);
    }
    const missing = picture.total - picture.breakers.length;
    byId("omitted").hidden = missing <= 0;
    setText(byId("omitted"), `${missing} more are not shown; those with trouble come first.`);
  };

  const drawChanges = (name) => {
    const list = cards.get(name)?.part(".changes");
    list?.replaceChildren(...(changes.get(name) ?? []).map((change) => {
      const item = document.createElement("li");
      item.append(timeElement(change.at), ` ${change.from} → ${change.to}`);
      return item;
    }));
  };

  // --- the rest of the picture ------------------------------------------------------------------

  const drawDependencies = (dependencies) => {
    const list = byId("dependencies");
    while (list.children.length > dependencies.length) list.lastElementChild.remove();
    dependencies.forEach(({ name, isConnected }, index) => {
      let item = list.children[index];
      if (item === undefined) {
        item = document.createElement("li");
        const badge = document.createElement("span");
        badge.className = "badge";
        item.append("", " ", badge);
        list.append(item);
      }
      setText(item.firstChild, name);
      const badge = item.lastElementChild;
      setBadge(badge, isConnected ? "connected" : "disconnected", isConnected ? "good" : "bad");
    });
  };

  const summary = (picture) => {
    const troubled = picture.breakers.filter(({ state }) => state !== "closed").length;
    const away = picture.dependencies.filter(({ isConnected }) => !isConnected).length;
    const facts = [
      `${picture.readiness === "ready" ? "Ready" : `Not ready: ${picture.readiness}`}`,
    ];
    if (troubled > 0) facts.push(`${troubled} breaker${troubled === 1 ? "" : "s"} not closed`);
    if (away > 0) facts.push(`${away} dependenc${away === 1 ? "y" : "ies"} away`);
    if (troubled + away === 0) facts.push("all well");
    return facts.join(", ");
  };

  const draw = (picture) => {
    lastPicture = Date.now();
    hasAdmin = picture.hasAdmin;
    document.title = `${picture.service}: status`;
    setText(byId("service"), picture.service);
    setText(byId("version"), picture.version);
    setText(byId("summary"), summary(picture));
    setBadge(byId("link"), "live", "good");
    byId("admin").hidden = !hasAdmin;
    drawDependencies(picture.dependencies);
    drawBreakers(picture);
  };

  // --- events -----------------------------------------------------------------------------------

  const sentence = (entry) => {
    if (entry.dependency !== undefined) {
      return `${entry.dependency} is ${entry.isConnected ? "connected" : "disconnected"}`;
    }
    const { breaker, from, to, counts } = entry;
    const who = entry.manual ? " by an operator" : "";
    if (entry.observed) {
      return `${breaker} would have opened (${counts.totalFailures} of ${counts.requests} failed)`;
    }
    const why = to === "open" && !entry.manual
      ? ` (${counts.totalFailures} of ${counts.requests} failed)`
      : "";
    return `${breaker}: ${from} → ${to}${who}${why}`;
  };

  const addEntry = (entry) => {
    const log = byId("log");
    const list = log.firstElementChild;
    const item = document.createElement("li");
    item.append(timeElement(entry.at), ` ${sentence(entry)}`);
    list.prepend(item);
    while (list.children.length > maxEntries) list.lastElementChild.remove();
    log.hidden = false;
    byId("log-empty").hidden = true;
    if (entry.breaker === undefined) return;
    const known = [entry, ...(changes.get(entry.breaker) ?? [])].slice(0, maxChangesShown);
    changes.set(entry.breaker, known);
    drawChanges(entry.breaker);
  };

  /** The server's ring, sent with every connection, replaces what is shown. */
  const replaceEntries = (entries) => {
    byId("log").firstElementChild.replaceChildren();
    changes.clear();
    for (const entry of entries) addEntry(entry);
  };

  const connect = () => {
    const source = new EventSource("status/events");
    source.addEventListener("picture", ({ data }) => draw(JSON.parse(data)));
    source.addEventListener("history", ({ data }) => replaceEntries(JSON.parse(data)));
    source.addEventListener("change", ({ data }) => addEntry(JSON.parse(data)));
    source.addEventListener("error", () => {
      setBadge(byId("link"), "reconnecting", "half-open");
      // A refusal ends an EventSource for good; a lost connection it repairs by itself.
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
    });
  };

  setInterval(() => {
    if (lastPicture === 0 || Date.now() - lastPicture < staleAfter) return;
    setBadge(byId("link"), `old: ${span(Date.now() - lastPicture)}`, "bad");
  }, 1000);

  // --- administration ---------------------------------------------------------------------------

  const say = (text) => setText(byId("admin-result"), text);

  const setToken = (next) => {
    token = next;
    if (next === "") sessionStorage.removeItem(tokenKey);
    else sessionStorage.setItem(tokenKey, next);
    byId("token").value = "";
    byId("forget").hidden = next === "";
    for (const card of cards.values()) card.part(".actions").hidden = next === "";
  };

  const act = async (name, action, button) => {
    const isForFleet = byId("fleet").checked;
    const where = isForFleet ? "on all replicas" : "on this replica";
    const isDrastic = action === "open" || action === "disable";
    if (isDrastic && !confirm(`${actions[action]} "${name}" ${where}?`)) return;
    button.disabled = true;
    try {
      const address = `admin/breakers/${encodeURIComponent(name)}${
        isForFleet ? "?fleet=true" : ""
      }`;
      const response = await fetch(address, {
        method: "POST",
        headers: { "authorization": `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify({ action }),
      });
      if (response.ok) return say(`${actions[action]} "${name}" ${where}: done`);
      const problem = await response.json().catch(() => ({}));
      if (response.status === 401) setToken("");
      const id = problem.correlationId === undefined ? "" : ` (${problem.correlationId})`;
      say(
        response.status === 401
          ? "The admin token was not accepted"
          : `${problem.error ?? `Refused with ${response.status}`}${id}`,
      );
    } catch {
      say("The service could not be reached");
    } finally {
      button.disabled = false;
    }
  };

  byId("admin-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const given = byId("token").value.trim();
    if (given === "") return;
    setToken(given);
    say("Actions are shown with each breaker");
  });
  byId("forget").addEventListener("click", () => {
    setToken("");
    say("The token was forgotten");
  });

  setToken(token);
  connect();
})();
