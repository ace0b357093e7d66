/**
 * The status page as one document: the parts under `StatusPage/` put together at start.
 *
 * It loads nothing from elsewhere, and its policy names its own script and style by their hashes, so
 * that nothing that might slip into the page could run.
 */
import { createHash } from "node:crypto";
import page from "./StatusPage/page.html" with { type: "text" };
import script from "./StatusPage/page.js" with { type: "text" };
import style from "./StatusPage/page.css" with { type: "text" };

const hash = (text: string): string =>
  `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** Puts a part into its element, alone: the hash is of everything between the tags. */
const put = (document: string, element: "style" | "script", text: string): string => {
  const place = new RegExp(`(<${element}>)[^<]*(</${element}>)`);
  return document.replace(place, (_found, start: string, end: string) => start + text + end);
};

/** The whole document. */
export const html: string = put(put(page, "style", style), "script", script);

/** What must be sent with it. */
export const headers: Readonly<Record<string, string>> = {
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
};
