/** What a token endpoint may answer, from its bytes to what they mean. */
import assert from "node:assert/strict";
import { Duration, Redacted } from "effect";
import type { PCGRandom } from "effect/Utils";
import { AnswerReader, Malformed } from "../../../src/auth/IdentityProvider/AnswerReader.ts";
import { interpret } from "../../../src/auth/IdentityProvider/TokenAnswer.ts";
import { randomOf } from "../Mutator.ts";
import { byMutation, type Target } from "../Target.ts";

const maxBody = 2_048;

/** How reading ended. */
interface Read {
  readonly end: string;
  readonly status: number;
  readonly headers: ReadonlyArray<readonly [string, string]>;
  readonly body: Uint8Array | undefined;
  readonly isReusable: boolean;
}

/** Reads the bytes in the given pieces, as they might come from a socket. */
function read(pieces: ReadonlyArray<Uint8Array>): Read {
  const reader = new AnswerReader(maxBody);
  const ended = (end: string, whole = false): Read => ({
    end,
    status: reader.status,
    headers: whole ? Array.from(reader.headers) : [],
    body: whole ? reader.body() : undefined,
    isReusable: whole && reader.isReusable,
  });
  try {
    let used = 0;
    for (const piece of pieces) {
      used += 1;
      const progress = reader.push(piece.slice());
      if (progress === "too large") return ended("too large");
      if (progress === "done" && used === pieces.length) return ended("done", true);
      // What follows a whole answer is never looked at as part of it.
      if (progress === "done") return { ...ended("done", true), isReusable: false };
    }
    reader.end();
    return ended("done", true);
  } catch (error) {
    if (error instanceof Malformed) return ended(error.reason);
    throw error;
  }
}

const cut = (bytes: Uint8Array, random: PCGRandom): ReadonlyArray<Uint8Array> => {
  const pieces: Array<Uint8Array> = [];
  for (let at = 0; at < bytes.length;) {
    const length = 1 + random.integer(random.integer(2) === 0 ? 4 : 200);
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces.length === 0 ? [bytes] : pieces;
};

const meaning = ({ status, headers, body }: Read): string => {
  const map = new Map(headers);
  const result = interpret({ status, header: (name) => map.get(name), body }, Date.UTC(2026, 5));
  if ("accessToken" in result) {
    assert.equal(status, 200);
    assert.notEqual(Redacted.value(result.accessToken), "");
    assert.ok(Number.isInteger(result.expiresIn));
    assert.ok(result.expiresIn >= 1 && result.expiresIn <= 31_536_000);
    return "token";
  }
  if ("retryAfter" in result && result.retryAfter !== undefined) {
    const millis = Duration.toMillis(result.retryAfter);
    assert.ok(millis >= 0 && millis <= 3_600_000);
  }
  // Words for a log, never a piece of the answer.
  assert.ok(result.message.length < 120);
  return result._tag;
};

export const tokenAnswers: Target = {
  name: "token endpoint's answer",
  weight: 20,
  promise: "bytes mean the same however they are cut; an issued token is within its bounds",
  open: async () => ({
    run: await byMutation({
      corpus: "token-answers",
      dictionary: [
        ...["HTTP/1.1 200 OK\r\n", "HTTP/1.0 ", "\r\n\r\n", "\r\n", "\n", "0\r\n\r\n", "5\r\n"],
        ...["content-length: 5\r\n", "transfer-encoding: chunked\r\n", "connection: close\r\n"],
        ...[
          '"access_token":"x"',
          '"expires_in":',
          "1e3",
          "31536001",
          "0",
          "-1",
          "\u0000",
          "{",
          "}",
        ],
        ...["retry-after: 9\r\n", "content-type: application/json\r\n", " 429 ", " 100 ", " 503 "],
      ],
      check: (bytes, index) => {
        const whole = read([bytes]);
        const random = randomOf("pieces", 0, index);
        const inPieces = read(cut(bytes, random));
        // In one piece what follows an answer is seen at once, in pieces maybe not.
        const { isReusable: _, ...one } = whole;
        const { isReusable: __, ...other } = inPieces;
        assert.deepEqual(other, one);
        if (whole.body !== undefined) assert.ok(whole.body.length <= maxBody);
        return whole.end === "done" ? meaning(whole) : whole.end;
      },
    }),
  }),
};
