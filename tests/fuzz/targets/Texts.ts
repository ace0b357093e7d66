/** Small texts that come with requests, settings and answers, and the functions that read them. */
import assert from "node:assert/strict";
import { Duration, Either } from "effect";
import * as Cli from "../../../src/Cli.ts";
import { parse as parseAddress } from "../../../src/auth/IdentityProvider/OutboundAddress.ts";
import { parseRedisUrl } from "../../../src/connections/RedisUrl.ts";
import { correlationId, traceparent } from "../../../src/http/Correlation.ts";
import { isLegalHost, parseQuery, pathStart } from "../../../src/http/Target.ts";
import { callerOf, headersOf } from "../../../src/http/TraceContext.ts";
import * as RetryAfter from "../../../src/resilience/RetryAfter.ts";
import { byMutation, type Target } from "../Target.ts";

const decoder = new TextDecoder("latin1");
const utf8 = new TextDecoder();

/** A header's value as the server would hand it on, or undefined when it never gets that far. */
const asking = (name: string, value: string): Request | undefined => {
  try {
    return new Request("http://localhost", { headers: [[name, value]] });
  } catch {
    return undefined;
  }
};

const query = (text: string): string => {
  const found = parseQuery(text);
  // The empty pair in front keeps it from taking a question mark for the sign of a query.
  const theirs = new URLSearchParams(`&${text}`);
  // The browser's reading, name by name: nothing more, nothing less.
  assert.deepEqual(
    Object.keys(found).toSorted(),
    Array.from(new Set(theirs.keys())).toSorted(),
  );
  for (const [name, value] of Object.entries(found)) {
    assert.deepEqual(typeof value === "string" ? [value] : value, theirs.getAll(name));
  }
  return Object.keys(found).length === 0 ? "empty query" : "query";
};

const retryAfter = (text: string): string => {
  const now = Date.UTC(2026, 0, 31, 12);
  const wait = RetryAfter.parse(text, now);
  if (wait === undefined) return "no retry-after";
  const millis = Duration.toMillis(wait);
  assert.ok(millis >= 0 && millis <= 3_600_000, `${millis} ms`);
  return "retry-after";
};

const correlation = (text: string): string => {
  const request = asking("x-correlation-id", text);
  if (request === undefined) return "no header";
  const id = correlationId(request);
  assert.match(id, /^[A-Za-z0-9._-]{1,128}$/);
  return id === text ? "caller's id" : "own id";
};

const trace = (text: string): string => {
  const request = asking("traceparent", text);
  if (request === undefined) return "no header";
  const found = traceparent(request);
  if (found === undefined) return "no trace";
  const span = callerOf(found, text);
  assert.match(span.traceId, /^[0-9a-f]{32}$/);
  assert.match(span.spanId, /^[0-9a-f]{16}$/);
  // What is passed on is a legal context by our own reading.
  const again = asking("traceparent", headersOf(span)["traceparent"] ?? "");
  assert.ok(again !== undefined && traceparent(again) !== undefined);
  return "trace";
};

const address = (text: string): string => {
  const target = parseAddress(text, false);
  if (typeof target === "string") {
    assert.ok(target.length < 100 && !(text.length > 20 && target.includes(text)));
    return "refused address";
  }
  assert.ok(target.port >= 0 && target.port <= 65_535);
  // Nothing that could end the request line or the Host header.
  assert.match(target.path + target.authority, /^[\x21-\x7e]+$/);
  assert.doesNotMatch(target.host, /^(169\.254|0\.\d+)\.\d+\.\d+$|^fe[89ab][0-9a-f]:/i);
  return "address";
};

const redisUrl = (text: string): string =>
  Either.match(parseRedisUrl(text), {
    onLeft: ({ problem }) => {
      assert.ok(problem.length < 120);
      return "no Redis URL";
    },
    onRight: ({ host, port, db }) => {
      assert.ok(host !== "" && port >= 0 && port <= 65_535 && Number.isInteger(db));
      return "Redis URL";
    },
  });

const target = (text: string): string => {
  const start = pathStart(text);
  assert.ok(start >= 0 && start <= text.length);
  return isLegalHost(text) ? "legal host" : "illegal host";
};

const commandLine = (text: string): string =>
  Either.match(Cli.parse(text.split(" ")), {
    onLeft: (problem) => {
      assert.ok(problem !== "");
      return "wrong usage";
    },
    onRight: ({ _tag }) => `--${_tag}`,
  });

const readers: ReadonlyArray<(text: string) => string> = [
  query,
  retryAfter,
  correlation,
  trace,
  address,
  redisUrl,
  target,
  commandLine,
];

export const texts: Target = {
  name: "texts",
  weight: 24,
  promise: "every reader of a small text gives a value within its bounds, or says no; none throws",
  open: async () => ({
    run: await byMutation({
      corpus: "texts",
      dictionary: [
        ...[
          "storeId=",
          "&",
          "=",
          "%",
          "%00",
          "%C3%28",
          "+",
          ";",
          "#",
          "?",
          "//",
          "@",
          "\\",
          "[::1]",
        ],
        ...["http://", "https://", "redis://", "rediss://", "169.254.169.254", "localhost", ":443"],
        ...["00-", "-01", "GMT", "Feb", "1e9", "99999999999999999999", "-1", "0x7f.1", "\r\n"],
        ...["--service=", "auth", "routing", "all", "--check", "--print=openapi", " "],
      ],
      check: (bytes, index) => {
        const text = (index % 2 === 0 ? decoder : utf8).decode(bytes);
        // All read it; one of them is counted.
        const outcomes = readers.map((reader) => reader(text));
        return outcomes[index % readers.length] ?? "";
      },
    }),
  }),
};
