/**
 * The status page as one document: the parts under `StatusPage/` put together when this is loaded.
 *
 * It loads nothing from elsewhere, and its policy names its own script and style by their hashes, so
 * that nothing that might slip into the page could run. The script's modules become one by leaving
 * out their imports and exports; they share no name but those they import from each other.
 */
import { createHash } from "node:crypto";
import * as Header from "../http/Header.ts";
import card from "./StatusPage/card.js" with { type: "text" };
import cardStyle from "./StatusPage/card.css" with { type: "text" };
import cards from "./StatusPage/cards.js" with { type: "text" };
import chart from "./StatusPage/chart.js" with { type: "text" };
import control from "./StatusPage/control.js" with { type: "text" };
import controlStyle from "./StatusPage/control.css" with { type: "text" };
import log from "./StatusPage/log.js" with { type: "text" };
import main from "./StatusPage/page.js" with { type: "text" };
import page from "./StatusPage/page.html" with { type: "text" };
import pageStyle from "./StatusPage/page.css" with { type: "text" };
import words from "./StatusPage/text.js" with { type: "text" };

/** The modules in the order in which they need each other, as one strict function. */
const join = (...modules: ReadonlyArray<string>): string => {
  const bodies = modules.map((module) =>
    module.replace(/^import [^;]*;\n/gm, "").replace(/^export /gm, "")
  );
  return `(() => {\n"use strict";\n${bodies.join("\n")}})();\n`;
};

const hash = (text: string): string =>
  `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** Puts a part into its element, alone: the hash is of everything between the tags. */
const put = (document: string, element: "style" | "script", text: string): string => {
  const place = new RegExp(`(<${element}>)[^<]*(</${element}>)`);
  return document.replace(place, (_found, start: string, end: string) => start + text + end);
};

const style = `${pageStyle}\n${cardStyle}\n${controlStyle}`;

const script = join(words, chart, card, cards, log, control, main);

/** The whole document. */
export const html: string = put(put(page, "style", style), "script", script);

/** What must be sent with it. */
export const headers: ReadonlyArray<Header.Header> = Header.all({
  "cache-control": "no-cache",
  "content-security-policy": [
    "default-src 'none'",
    `style-src ${hash(style)}`,
    `script-src ${hash(script)}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "referrer-policy": "no-referrer",
});
