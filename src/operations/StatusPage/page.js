/**
 * The status page in the browser: draws what the event stream says. All text is set as text, never
 * as markup. What is shown says how old it is when the stream falls silent.
 */
import { byId, setBadge, setText } from "./card.js";
import { makeCards } from "./cards.js";
import { makeControl } from "./control.js";
import { makeAnnouncer, makeLog } from "./log.js";
import { enumeration, plural, sentence, span } from "./text.js";

/** No picture for so long (ms): what is shown is old. */
const staleAfter = 5000;
/** A refused stream is asked for again after this long (ms). */
const askAgainAfter = 5000;

const readiness = {
  ready: "Ready to serve",
  starting: "Not ready: still starting",
  draining: "Not ready: stopping, finishes what is in flight",
  unusable: "Not ready: neither the store nor the cache can be used",
};

const control = makeControl();
const announce = makeAnnouncer();
const log = makeLog((name) => cards.drawChanges(name));
const cards = makeCards((name) => control(cards.breaker(name)), log.changesOf);

/** When the last picture came, on this page's own clock; 0 before the first. */
let lastPicture = 0;
let isLost = false;

/** "Breaker a is open", "12 breakers are open". */
const breakersAre = (number, picture, test, what) => {
  if (number > 1) return `${plural(number, "breaker")} are ${what}`;
  return `Breaker ${picture.breakers.find(test).name} is ${what}`;
};

/** The one sentence that matters most, how bad it is, and the facts behind it. */
const judge = (picture) => {
  const { total, open, halfOpen, manual } = picture;
  const away = picture.dependencies.filter(({ isConnected }) => !isConnected)
    .map(({ name }) => name);
  const isReady = picture.readiness === "ready";
  const readyOrNot = readiness[picture.readiness] ?? picture.readiness;
  // What is said above is not said again.
  const facts = isReady ? [readyOrNot] : [];
  if (open > 0) facts.push(`${plural(open, "breaker")} open`);
  if (halfOpen > 0) facts.push(`${plural(halfOpen, "breaker")} half-open`);
  if (manual > 0) facts.push(`${plural(manual, "breaker")} set by hand`);
  const closed = total - open - halfOpen;
  if (closed > 0) {
    facts.push(plural(closed, `${closed < total ? "other " : ""}breaker`) + " closed");
  }
  const detail = `${facts.join(" · ")}.`;
  const verdict = (kind, summary) => ({ kind, summary, detail });

  if (!isReady) {
    return verdict(picture.readiness === "unusable" ? "open" : "half-open", readyOrNot);
  }
  if (open > 0) {
    const isOpen = ({ state }) => state === "open";
    return verdict("open", breakersAre(open, picture, isOpen, "open"));
  }
  if (away.length > 0) {
    const verb = away.length === 1 ? "does" : "do";
    return verdict("half-open", `${enumeration(away)} ${verb} not answer`);
  }
  if (halfOpen > 0) {
    const isHalfOpen = ({ state }) => state === "half-open";
    return verdict("half-open", breakersAre(halfOpen, picture, isHalfOpen, "half-open"));
  }
  if (manual > 0) {
    const isManual = ({ mode }) => mode !== "auto";
    return verdict("half-open", breakersAre(manual, picture, isManual, "set by hand"));
  }
  return verdict("closed", "All well");
};

/** The tab's icon in the colour of the verdict, drawn so that nothing is fetched. */
const drawIcon = (kind) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 32;
  const context = canvas.getContext("2d");
  const colours = { closed: "#2f9e5b", open: "#d92d35", "half-open": "#d98a00" };
  context.fillStyle = colours[kind] ?? "#808890";
  context.arc(16, 16, 14, 0, 2 * Math.PI);
  context.fill();
  document.querySelector("link[rel=icon]").href = canvas.toDataURL();
};

const drawVerdict = ({ kind, summary, detail }) => {
  setText(byId("summary"), summary);
  setText(byId("detail"), detail);
  if (byId("verdict").dataset.kind === kind) return;
  byId("verdict").dataset.kind = kind;
  drawIcon(kind);
};

const drawDependencies = (dependencies) => {
  const list = byId("dependencies");
  while (list.children.length > dependencies.length) list.lastElementChild.remove();
  dependencies.forEach(({ name, isConnected }, index) => {
    const item = list.children[index] ?? list.appendChild(document.createElement("li"));
    setBadge(
      item,
      `${name} ${isConnected ? "connected" : "disconnected"}`,
      isConnected ? "good" : "bad",
    );
  });
};

const draw = (picture) => {
  lastPicture = performance.now();
  if (isLost) announce("Connected again");
  isLost = false;
  const verdict = judge(picture);
  document.title = `${verdict.summary}, ${picture.service}`;
  setText(byId("service"), picture.service);
  setText(
    byId("about"),
    `${picture.version}, up ${span(picture.at - picture.startedAt)}`,
  );
  setBadge(byId("link"), "live", "good");
  drawVerdict(verdict);
  drawDependencies(picture.dependencies);
  cards.draw(picture);
};

const lose = () => {
  if (!isLost && lastPicture > 0) announce("Connection lost, what is shown is old");
  isLost = true;
};

const connect = () => {
  const source = new EventSource("status/events");
  source.addEventListener("picture", ({ data }) => draw(JSON.parse(data)));
  source.addEventListener("history", ({ data }) => log.replace(JSON.parse(data)));
  source.addEventListener("change", ({ data }) => {
    const entry = JSON.parse(data);
    log.add(entry);
    announce(sentence(entry));
  });
  source.addEventListener("error", () => {
    setBadge(byId("link"), "reconnecting", "half-open");
    lose();
    // A refusal ends an EventSource for good; a lost connection it repairs by itself.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, askAgainAfter);
  });
};

setInterval(() => {
  const age = performance.now() - lastPicture;
  if (lastPicture === 0 || age < staleAfter) return;
  lose();
  drawVerdict({
    kind: "unknown",
    summary: `No news for ${span(age)}`,
    detail: "The service does not answer this page. What is below is old.",
  });
}, 1000);

connect();
