/**
 * Text that may be written to a log: one line, bounded, and without credentials.
 *
 * Callers do not log secrets in the first place (they are `Redacted`); this is the net below them,
 * for the messages of foreign errors, which like to quote connection strings and headers.
 */
import { Cause, Option } from "effect";

/** Most characters of an error's text. */
const maxErrorLength = 300;

/** Most frames of a defect's stack. */
const maxFrames = 8;

const url = /\b([a-z][a-z0-9+.-]{1,20}):\/\/[^\s"'<>`]+/gi;
const userInfo = /^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i;
const scheme = /\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi;
const jwt = /\beyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*)?/g;
const assignment =
  /((?:password|passwd|pwd|secret|token|api[_-]?key|authorization|assertion)["']?\s*[=:]\s*["']?)(?!<redacted>)[^\s"',;&}]+/gi;
// deno-lint-ignore no-control-regex -- control characters are exactly what must go
const breaks = /[\s\u0000-\u001f\u007f\u2028\u2029]+/g;
const suspicious = /:\/\/|eyJ|bearer|basic|pass|pwd|secret|token|key|authorization|assertion/i;

/** Schemes whose addresses are no connection strings and help to find a fault. */
const readableSchemes = new Set(["http", "https", "file", "node", "npm", "ext", "data"]);

const withoutCredentials = (address: string, scheme: string): string =>
  readableSchemes.has(scheme.toLowerCase())
    ? address.replace(userInfo, "$1<redacted>@")
    : `${scheme}://<redacted>`;

/** The text with credentials, tokens and connection strings replaced by `<redacted>`. */
export const scrub = (text: string): string =>
  suspicious.test(text)
    ? text
      .replace(url, withoutCredentials)
      .replace(scheme, "$1 <redacted>")
      .replace(jwt, "<redacted>")
      .replace(assignment, "$1<redacted>")
    : text;

/** One line of at most `length` characters. */
export const shorten = (text: string, length: number): string => {
  const line = text.replace(breaks, " ").trim();
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
};

const read = (value: object, name: string): string | undefined => {
  try {
    const found: unknown = Reflect.get(value, name);
    return typeof found === "string" && found !== "" ? found : undefined;
  } catch {
    return undefined; // a getter that throws has nothing to say
  }
};

/** What went wrong in one short line: the error's tag or name, and its message. */
export const errorText = (error: unknown): string => {
  if (typeof error === "string") return shorten(scrub(error), maxErrorLength);
  if (typeof error !== "object" || error === null) return String(error);
  const name = read(error, "_tag") ?? read(error, "name") ?? "Error";
  const message = read(error, "message");
  // Shortened first, so that a huge message costs little; the cut cannot make a secret readable.
  const text = message === undefined ? name : `${name}: ${message.slice(0, 4 * maxErrorLength)}`;
  return shorten(scrub(text), maxErrorLength);
};

/** The first thing that went wrong in a cause, or `undefined` when it is empty. */
export const causeText = (cause: Cause.Cause<unknown>): string | undefined => {
  if (Cause.isEmpty(cause)) return undefined;
  const failure = Cause.failureOption(cause);
  if (Option.isSome(failure)) return errorText(failure.value);
  const defect = Cause.dieOption(cause);
  return Option.isSome(defect) ? errorText(defect.value) : "Interrupted";
};

/** Where a defect came from: the first frames of its stack, without its message. */
export const defectStack = (cause: Cause.Cause<unknown>): string | undefined => {
  const defect = Cause.dieOption(cause);
  if (Option.isNone(defect) || !(defect.value instanceof Error)) return undefined;
  const stack = read(defect.value, "stack");
  const frames = stack?.split("\n").map((line) => line.trim()).filter((line) =>
    line.startsWith("at ")
  );
  return frames === undefined || frames.length === 0
    ? undefined
    : scrub(frames.slice(0, maxFrames).join("\n"));
};
