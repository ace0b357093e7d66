/**
 * One log record as one line of text: JSON for machines, or a readable form for a terminal.
 *
 * The order of the first fields is fixed (`level`, `timestamp`, `msg`, `service`, `correlationId`,
 * `traceId`, `spanId`); an event's own fields follow and can never replace them. Values are made safe here: `Redacted`
 * stays redacted, fields named like a secret are masked, text is scrubbed and bounded.
 */
import { Cause, Duration, Redacted, type Tracer } from "effect";
import { causeText, errorText, scrub } from "./SafeText.ts";

/** Severities, as in the `level` field. */
export type Level = "debug" | "info" | "warn" | "error";

/** All severities, least severe first. */
export const levels: ReadonlyArray<Level> = ["debug", "info", "warn", "error"];

/** An event's own fields; `undefined` values are left out. */
export type Fields = Readonly<Record<string, unknown>>;

/** What a line says. */
export interface LogRecord {
  readonly level: Level;
  /** Wall-clock epoch milliseconds. */
  readonly at: number;
  readonly msg: string;
  readonly service?: string | undefined;
  readonly correlationId?: string | undefined;
  /** The span in which it was written, if there was one. */
  readonly span?: Tracer.AnySpan | undefined;
  readonly fields: Iterable<readonly [string, unknown]>;
}

/** Most characters of one field's text. */
const maxText = 2_000;

/** Most characters of one field's JSON. */
const maxJson = 8_000;

const reserved = new Set([
  "level",
  "timestamp",
  "msg",
  "service",
  "correlationId",
  "traceId",
  "spanId",
]);

const secretNames = new Set([
  "accesstoken",
  "admintoken",
  "apikey",
  "assertion",
  "authorization",
  "clientsecret",
  "cookie",
  "jwt",
  "password",
  "passwd",
  "refreshtoken",
  "secret",
  "subjecttoken",
  "token",
  "usertoken",
]);

const isSecretName = (name: string): boolean =>
  secretNames.has(name.replace(/[-_]/g, "").toLowerCase());

/** What JSON must escape, lone surrogates, and what is `invisible`. */
const unsafe =
  // deno-lint-ignore no-control-regex -- control characters are among them
  /["\\\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]/;

/** What JSON leaves alone and a terminal or a reader may not: DEL, C1, line separators, directions. */
const invisible = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** A JSON string. Fast for text that needs no escaping, which nearly all is. */
export const quote = (text: string): string =>
  unsafe.test(text) ? visible(JSON.stringify(text)) : `"${text}"`;

/** The same JSON, all of whose characters can be seen. */
const visible = (json: string): string =>
  json.replace(
    invisible,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

const text = (value: string): string => {
  const safe = scrub(value.length > maxText ? `${value.slice(0, maxText)}…` : value);
  return quote(safe);
};

/** The plain, safe form of values that must not be walked into; `undefined` for all others. */
const special = (value: object): string | undefined => {
  if (Redacted.isRedacted(value)) return "<redacted>";
  if (Duration.isDuration(value)) return `${Math.round(Duration.toMillis(value))}ms`;
  if (value instanceof Date) {
    return Number.isNaN(value.getTime()) ? "Invalid date" : value.toISOString();
  }
  if (Cause.isCause(value)) return causeText(value) ?? "Empty";
  if (value instanceof Error) return errorText(value);
  return undefined;
};

/** Called by `JSON.stringify` with the holder as `this`, so that `toJSON` cannot come first. */
function safeValue(this: unknown, key: string, given: unknown): unknown {
  const value: unknown = typeof this === "object" && this !== null ? Reflect.get(this, key) : given;
  if (value !== null && value !== undefined && isSecretName(key)) return "<redacted>";
  if (typeof value === "string") return scrub(value.slice(0, maxText));
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  return special(value) ?? given;
}

/** A field's value as JSON; `undefined` when there is nothing to write. */
const json = (value: unknown): string | undefined => {
  switch (typeof value) {
    case "string":
      return text(value);
    case "number":
      return Number.isFinite(value) ? String(value) : "null";
    case "boolean":
      return String(value);
    case "bigint":
      return `"${value}"`;
    case "object": {
      if (value === null) return "null";
      const plain = special(value);
      if (plain !== undefined) return quote(plain);
      try {
        const written = JSON.stringify(value, safeValue);
        if (written === undefined) return undefined;
        return written.length > maxJson ? `"<${written.length} characters>"` : visible(written);
      } catch {
        return '"<cannot be written as JSON>"'; // circular, or a getter that throws
      }
    }
    default:
      return undefined;
  }
};

let lastAt = Number.NaN;
let lastTimestamp = "";

/** ISO 8601 in UTC with milliseconds; the last answer is kept, as lines come in bursts. */
export const timestamp = (at: number): string => {
  if (at !== lastAt) {
    lastTimestamp = new Date(at).toISOString();
    lastAt = at;
  }
  return lastTimestamp;
};

/** The record as one JSON object, without a line break. */
export const toJson = (record: LogRecord): string => {
  let line = `{"level":"${record.level}","timestamp":"${timestamp(record.at)}","msg":${
    text(record.msg)
  }`;
  if (record.service !== undefined) line += `,"service":${quote(record.service)}`;
  if (record.correlationId !== undefined) line += `,"correlationId":${quote(record.correlationId)}`;
  const { span } = record;
  if (span !== undefined) line += `,"traceId":"${span.traceId}","spanId":"${span.spanId}"`;
  for (const [name, value] of record.fields) {
    if (reserved.has(name)) continue;
    const written = value !== null && value !== undefined && isSecretName(name)
      ? '"<redacted>"'
      : json(value);
    if (written !== undefined) line += `,${quote(name)}:${written}`;
  }
  return `${line}}`;
};

/** The record's own fields as its line in JSON has them: safe to leave the process. */
export const exportedFields = (record: LogRecord): Fields => {
  const { level, at, msg, fields } = record;
  const line: Fields = JSON.parse(toJson({ level, at, msg, fields }));
  return Object.fromEntries(Object.entries(line).filter(([name]) => !reserved.has(name)));
};

const colours: Readonly<Record<Level, string>> = {
  debug: "\x1b[90m",
  info: "\x1b[32m",
  warn: "\x1b[33m",
  error: "\x1b[31m",
};

const plainWord = /^[\w.:/@%+-]+$/;

/** The record as one readable line: time, level, service, message, then `name=value` pairs. */
export const toPretty = (isColoured: boolean) => (record: LogRecord): string => {
  const paint = (code: string, words: string) => isColoured ? `${code}${words}\x1b[0m` : words;
  const parts = [
    paint("\x1b[90m", timestamp(record.at).slice(11, 23)),
    paint(colours[record.level], record.level.toUpperCase().padEnd(5)),
  ];
  if (record.service !== undefined) parts.push(record.service.padEnd(7));
  parts.push(paint("\x1b[1m", text(record.msg).slice(1, -1)));
  for (const [name, value] of record.fields) {
    if (reserved.has(name)) continue;
    const written = value !== undefined && isSecretName(name) ? "<redacted>" : json(value);
    if (written === undefined) continue;
    const bare = written.slice(1, -1);
    const shown = written.startsWith('"') && plainWord.test(bare) ? bare : written;
    parts.push(`${paint("\x1b[36m", `${name}=`)}${shown}`);
  }
  if (record.correlationId !== undefined) {
    parts.push(paint("\x1b[90m", `[${record.correlationId}]`));
  }
  return parts.join(" ");
};
