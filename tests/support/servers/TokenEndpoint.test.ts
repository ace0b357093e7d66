import { strict as assert } from "node:assert";
import { eventually } from "../eventually.ts";
import { afterEach, beforeEach, describe, it } from "../it.ts";
import { needs } from "../Tools.ts";
import { TokenEndpoint } from "./TokenEndpoint.ts";

describe("TokenEndpoint", () => {
  let endpoint: TokenEndpoint;
  let client: Deno.HttpClient;
  beforeEach(async () => {
    endpoint = await TokenEndpoint.start();
    client = Deno.createHttpClient({});
  });
  afterEach(async () => {
    client.close();
    await endpoint.stop();
  });
  const ask = (init: RequestInit = {}) =>
    fetch(endpoint.url, {
      method: "POST",
      body: new URLSearchParams({ subject_token: "t ✓" }),
      redirect: "manual",
      client,
      ...init,
    });
  const exchange = async () => {
    const response = await ask();
    return { status: response.status, body: await response.json() };
  };

  it("issues tokens and keeps the requests", async () => {
    const { status, body } = await exchange();
    assert.equal(status, 200);
    assert.equal(body.access_token, "issued-1");
    assert.equal(body.expires_in, 3600);
    const [request] = endpoint.requests;
    assert.equal(request?.method, "POST");
    assert.equal(request?.form.get("subject_token"), "t ✓");
    assert.match(request?.headers.get("content-type") ?? "", /x-www-form-urlencoded/);
    assert.equal((await exchange()).body.access_token, "issued-2");
  });

  it("reads a body in chunks", async () => {
    const body = new ReadableStream({
      start(controller) {
        for (const part of ["a=1", "&b=", "2"]) controller.enqueue(new TextEncoder().encode(part));
        controller.close();
      },
    });
    await (await ask({ body })).body?.cancel();
    assert.equal(endpoint.requests[0]?.body, "a=1&b=2");
  });

  it("behave() takes one behaviour a request and stays with the last", async () => {
    endpoint.behave(
      { kind: "answer", status: 503, headers: { "retry-after": "7" }, body: { error: "busy" } },
      { kind: "ok", accessToken: "abc", expiresIn: 60, fields: { token_type: undefined } },
    );
    const busy = await ask();
    assert.equal(busy.status, 503);
    assert.equal(busy.headers.get("retry-after"), "7");
    assert.deepEqual(await busy.json(), { error: "busy" });
    for (let i = 0; i < 2; i++) {
      const { body } = await exchange();
      assert.equal(body.access_token, "abc");
      assert.equal("token_type" in body, false);
    }
  });

  it("behave() takes a function of the request", async () => {
    endpoint.behave((request) => ({
      kind: "answer",
      status: request.form.get("subject_token") === "t ✓" ? 401 : 200,
    }));
    const response = await ask();
    await response.body?.cancel();
    assert.equal(response.status, 401);
  });

  it("hang never answers and counts a caller that goes away", async () => {
    endpoint.behave({ kind: "hang" });
    const controller = new AbortController();
    const answer = ask({ signal: controller.signal });
    await eventually(() => assert.equal(endpoint.requests.length, 1));
    controller.abort();
    await assert.rejects(answer, { name: "AbortError" });
    await eventually(() => assert.equal(endpoint.abandoned, 1));
  });

  it("slow answers after the delay", async () => {
    endpoint.behave({ kind: "slow", delay: "50 millis", then: { kind: "answer", status: 429 } });
    const response = await ask();
    await response.body?.cancel();
    assert.equal(response.status, 429);
  });

  it("reset, close and garbage are network errors", async () => {
    for (const kind of ["reset", "close", "garbage"] as const) {
      endpoint.behave({ kind });
      await assert.rejects(exchange(), TypeError, kind);
    }
    assert.equal(endpoint.abandoned, 0);
  });

  it("reset in the middle breaks the body", async () => {
    endpoint.behave({ kind: "reset", middle: true });
    const response = await ask();
    assert.equal(response.status, 200);
    await assert.rejects(response.text());
  });

  it("stall sends half of the body and no more", async () => {
    endpoint.behave({ kind: "stall" });
    const response = await ask();
    const reader = response.body?.getReader();
    const first = await reader?.read();
    assert.match(new TextDecoder().decode(first?.value), /access_token/);
    await reader?.cancel();
  });

  it("redirect and oversized are whole answers", async () => {
    endpoint.behave({ kind: "redirect", location: "http://127.0.0.1:1/" }, {
      kind: "oversized",
      bytes: 70_000,
    });
    const redirect = await ask();
    await redirect.body?.cancel();
    assert.equal(redirect.status, 307);
    assert.equal(redirect.headers.get("location"), "http://127.0.0.1:1/");
    assert.ok((await (await ask()).text()).length > 70_000);
  });

  it("refuse() refuses connections until listen()", async () => {
    await exchange();
    await endpoint.refuse();
    await assert.rejects(exchange(), TypeError);
    await endpoint.listen();
    assert.equal((await exchange()).status, 200);
  });

  it("refuse() resets a request under way", async () => {
    endpoint.behave({ kind: "hang" });
    const answer = assert.rejects(ask(), TypeError);
    await eventually(() => assert.equal(endpoint.requests.length, 1));
    await endpoint.refuse();
    await answer;
  });

  it("serves https with its own certificate", needs("openssl"), async () => {
    const secure = await TokenEndpoint.start({ tls: true });
    const trusting = Deno.createHttpClient({ caCerts: [secure.certificate?.ca ?? ""] });
    const response = await fetch(secure.url, { method: "POST", body: "a=1", client: trusting });
    assert.equal((await response.json()).token_type, "Bearer");
    await assert.rejects(fetch(secure.url, { method: "POST", body: "a=1", client }), TypeError);
    secure.behave({ kind: "reset" });
    await assert.rejects(fetch(secure.url, { method: "POST", client: trusting }), TypeError);
    trusting.close();
    await secure.stop();
  });
});
