/** StatusPage: one document that needs nothing else, under a policy that lets nothing else run. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Effect } from "effect";
import { headers, html } from "../../src/operations/StatusPage.ts";
import { describe, it } from "../support/it.ts";
import { start } from "./OperationsServer.ts";

const policy = new Map(headers).get("content-security-policy") ?? "";

/** What the browser hashes: everything between the tags. */
const inlined = (element: "style" | "script") =>
  [...html.matchAll(new RegExp(`<${element}>([^]*?)</${element}>`, "g"))]
    .map(([, text]) => text ?? "");

describe("StatusPage", () => {
  it("has a policy with the hash of each inlined part, and no unsafe way", () => {
    for (const element of ["style", "script"] as const) {
      const parts = inlined(element);
      assert.equal(parts.length, 1);
      const [text = ""] = parts;
      assert.ok(text.length > 1_000);
      const hash = createHash("sha256").update(text).digest("base64");
      assert.ok(policy.includes(`${element}-src 'sha256-${hash}'`), element);
    }
    assert.match(policy, /^default-src 'none';/);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
  });

  it("loads nothing from elsewhere and has no inline styles or handlers", () => {
    const markup = html.replace(/<(script|style)>[^]*?<\/\1>/g, "");
    assert.doesNotMatch(html, /https?:\/\//);
    assert.doesNotMatch(markup, /\s(?:style|on\w+)=|\ssrc=/);
    assert.doesNotMatch(html, /innerHTML|insertAdjacentHTML|document\.write|eval\(/);
  });

  it("labels every control", () => {
    for (const [, id] of html.matchAll(/<input id="(\w+)" type="password"/g)) {
      assert.match(html, new RegExp(`<label for="${id}">`));
    }
    assert.match(html, /<html lang="en">/);
    assert.match(html, /role="log" aria-labelledby/);
  });

  it.live("GET /status sends it with its policy", () =>
    Effect.gen(function* () {
      const { get } = yield* start();
      const answer = yield* get("/status");
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get("content-type"), "text/html; charset=utf-8");
      assert.equal(answer.headers.get("content-security-policy"), policy);
      assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
      assert.equal(answer.text, html);
    }));
});
