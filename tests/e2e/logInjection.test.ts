/** Whatever callers send, a log line stays one line that says what it should. */
import assert from "node:assert/strict";
import { RawConnection } from "../http/support/RawHttp.ts";
import { Amicis } from "../support/Amicis.ts";
import { describe, it } from "../support/it.ts";
import { tokenOf } from "../support/wire/Jwt.ts";

const adminToken = "an-admin-token-of-the-log-tests";

/** A line that somebody would like to see in the log. */
const forged = '{"level":"error","msg":"Forged","service":"routing"}';

/** Ways to begin a new line, to end a JSON string, or to make a terminal obey. */
const payloads: ReadonlyArray<string> = [
  `x\n${forged}`,
  `x\r\n${forged}`,
  `x","msg":"Forged`,
  `x\\`,
  `x\u001b[2J\u001b[31mForged`,
  `x\u009b31mForged`,
  `x\u2028${forged}`,
  `x\u0000Forged`,
  `x\u202eForged`,
];

/** Only what a header may hold: the rest is refused by the server below. */
const inHeader = (text: string) => text.replace(/[^\t\x20-\x7e]/g, " ");

/** Sends everything everywhere; what is refused is refused. */
const inject = async (amicis: Amicis): Promise<number> => {
  let sent = 0;
  const token = await tokenOf("ikea");
  const raw = async (port: number, ...lines: ReadonlyArray<string>) => {
    sent++;
    using connection = await RawConnection.open(port);
    await connection.send([...lines, "Host: a", "Connection: close", "", ""].join("\r\n"));
    await connection.receive().catch(() => {});
  };
  for (const payload of payloads) {
    const encoded = encodeURIComponent(payload);
    const evil = inHeader(payload);
    const authorization = `Authorization: Bearer ${token}`;
    for (const line of [payload, evil]) {
      await raw(
        amicis.port,
        "GET /api/v1/stores HTTP/1.1",
        ...["x-correlation-id", "x-request-id", "user-agent", "referer", "traceparent", "origin"]
          .map((name) => `${name}: ${line}`),
        authorization,
      );
      await raw(amicis.port, `${line} /api/v1/stores HTTP/1.1`);
      await raw(amicis.port, `GET /${line} HTTP/1.1`);
      await raw(amicis.port, "GET /api/v1/stores HTTP/1.1", `Authorization: Bearer ${line}`);
      await raw(amicis.port, "GET /admin/breakers HTTP/1.1", `Authorization: Bearer ${line}`);
    }
    await raw(amicis.port, `GET /api/v1/stores/${encoded} HTTP/1.1`, authorization);
    await raw(amicis.port, `GET /api/v1/route?storeId=${encoded} HTTP/1.1`, authorization);
    await raw(amicis.port, `GET /${encoded}?${encoded}=${encoded} HTTP/1.1`);
    const asTenant = await tokenOf(payload, { claims: { sub: payload, iss: payload } });
    await raw(amicis.port, "GET /api/v1/stores HTTP/1.1", `Authorization: Bearer ${asTenant}`);
    const headers = { authorization: `Bearer ${adminToken}` };
    for (const body of [{ action: "open" }, { action: payload }, { [payload]: payload }]) {
      await amicis.ask(`/admin/breakers/${encoded}`, { method: "POST", headers, body });
      await amicis.askAuth(`/admin/breakers/token-exchange-${encoded}`, {
        method: "POST",
        headers,
        body,
      });
    }
    for (const userToken of [`${payload}:token`, `ikea:${payload}`, payload]) {
      await amicis.askAuth("/auth/exchange", { method: "POST", body: { userToken } });
    }
  }
  return sent;
};

const env = { ADMIN_TOKEN: adminToken, LOG_LEVEL: "debug", RETRY_MAX_ATTEMPTS: "1" };

describe("log injection", () => {
  it("makes no line, no field and no character of its own in JSON", async () => {
    await using amicis = await Amicis.start({ service: "all", env });
    const sent = await inject(amicis);
    await amicis.stop();
    // Every line parses, or `logs` throws.
    const { logs } = amicis;
    assert.ok(logs.filter(({ msg }) => msg === "Request").length > sent / 2, "most were answered");
    const admin = amicis.logged({ msg: "Admin action", result: "unknown breaker" });
    assert.ok(admin.some(({ breaker }) => String(breaker).includes("Forged")), "names are logged");
    for (const line of logs) {
      assert.notEqual(line.msg, "Forged");
      // The signal is the process's, not a service's.
      if (line.msg !== "Signal received") assert.match(String(line.service), /^(auth|routing)$/);
      assert.match(String(line.level), /^(debug|info|warn|error)$/);
      assert.match(String(line.correlationId ?? "none"), /^[A-Za-z0-9._-]{1,128}$/);
      const { route = "unmatched", method = "GET" } = line;
      assert.match(String(route), /^(unmatched|\/[a-z0-9.:/-]*)$/i);
      assert.match(String(method), /^(GET|POST|OTHER)$/);
    }
    assertPlain(amicis.stdout);
  });

  it("makes none in the readable form either", async () => {
    await using amicis = await Amicis.start({
      service: "all",
      env: { ...env, LOG_FORMAT: "pretty" },
    });
    await inject(amicis);
    await amicis.stop();
    for (const line of amicis.stdout.trimEnd().split("\n")) {
      assert.match(
        line,
        /^\d\d:\d\d:\d\d\.\d{3} (DEBUG|INFO |WARN |ERROR) (auth {4}|routing |Signal )/,
      );
    }
    assertPlain(amicis.stdout);
  });
});

/** No control character but the line breaks, and none that turns the direction of writing. */
const assertPlain = (text: string) => {
  // deno-lint-ignore no-control-regex -- these are what must not be there
  const found = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/.exec(text);
  const around = JSON.stringify(text.slice(Math.max(0, (found?.index ?? 0) - 100)).slice(0, 200));
  assert.equal(found?.index, undefined, around);
};
