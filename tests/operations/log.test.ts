/**
 * The log of the running program: pretty on a terminal, thinned out, changed at run time, and never
 * in a request's way.
 */
import assert from "node:assert/strict";
import { Amicis, fromSource, type LogLine } from "../support/Amicis.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";
import { freePort, releasePort } from "../support/ports.ts";
import { needs, toolPath } from "../support/Tools.ts";
import { bearer } from "../support/wire/Jwt.ts";

describe("ACCESS_LOG_SAMPLE", () => {
  const path = "/api/v1/stores/berlin-01";
  const ids = Array.from({ length: 200 }, (_, index) => `request-${index}`);

  /** The ids of the requests that have a line, of 200 that were answered with 200. */
  const logged = async (share: string): Promise<ReadonlyArray<LogLine[string]>> => {
    await using amicis = await Amicis.start({
      service: "routing",
      env: { ACCESS_LOG_SAMPLE: share, RATE_LIMIT_BURST: "1000" },
    });
    const headers = await bearer("ikea");
    for (const id of ids) {
      await amicis.ask(path, { headers: { ...headers, "x-correlation-id": id } });
    }
    const route = "/api/v1/stores/:storeId";
    const counted = (await amicis.metrics()).value("http_requests_total", { route, status: "200" });
    assert.equal(counted, ids.length);
    await amicis.stop();
    return amicis.logged({ msg: "Request", route }).map(({ correlationId }) => correlationId);
  };

  it("keeps that share of the requests, the same ones in every process, and counts all", async () => {
    const kept = await logged("0.25");
    assert.ok(kept.length > 25 && kept.length < 80, `${kept.length} of ${ids.length}`);
    assert.deepEqual(await logged("0.25"), kept);
  });

  it("keeps every answer of 500 and above", async () => {
    await using amicis = await Amicis.start({
      service: "routing",
      env: { ACCESS_LOG_SAMPLE: "0", MONGODB_URI: "mongodb://127.0.0.1:9" },
      until: "answering",
    });
    const headers = await bearer("ikea");
    await amicis.ask("/api/v1/route", { headers });
    for (let call = 0; call < 3; call += 1) await amicis.ask("/api/v1/stores", { headers });
    await amicis.stop();
    assert.deepEqual(amicis.logged({ msg: "Request" }).map(({ status }) => status), [
      503,
      503,
      503,
    ]);
  });
});

describe("POST /admin/log-level", () => {
  it("changes what is logged while the program runs, both ways", async () => {
    const token = "an-admin-token-of-this-test";
    await using amicis = await Amicis.start({ service: "all", env: { ADMIN_TOKEN: token } });
    const setLevel = (level: string) =>
      amicis.ask("/admin/log-level", {
        method: "POST",
        headers: { authorization: `Bearer ${token}` },
        body: { level },
      });
    const ask = (id: string) =>
      amicis.askAuth("/health/live", { headers: { "x-correlation-id": id } });
    await ask("before");
    assert.equal((await setLevel("warn")).status, 200);
    await ask("silent");
    assert.equal((await setLevel("info")).status, 200);
    await ask("after");
    assert.equal((await setLevel("loud")).status, 400);
    await amicis.stop();
    const ids = amicis.logged({ msg: "Request", route: "/health/live" })
      .map(({ correlationId }) => correlationId);
    assert.deepEqual(ids, ["before", "after"]);
    const uses = amicis.logged({ msg: "Admin action", action: "set log level" });
    assert.deepEqual(uses.map(({ from, to }) => [from, to]), [["info", "warn"], ["warn", "info"]]);
  });
});

describe("LOG_FORMAT", needs("script"), () => {
  /** What the program writes to a real terminal when it starts. */
  const onTerminal = async (env: Readonly<Record<string, string>>): Promise<string> => {
    const port = freePort();
    const command = [...fromSource, "--service=routing"].map((word) => `'${word}'`).join(" ");
    const child = new Deno.Command(toolPath("script"), {
      args: ["--quiet", "--flush", "--return", "--command", `exec ${command}`, "/dev/null"],
      env: { HOST: "127.0.0.1", PORT: String(port), ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    let text = "";
    const read = async () => {
      const decoder = new TextDecoder();
      for await (const bytes of child.stdout) text += decoder.decode(bytes, { stream: true });
    };
    const all = read();
    try {
      await eventually(() => assert.match(text, /Service listening[^\n]*\n/), {
        within: "20 seconds",
      });
    } finally {
      child.kill("SIGTERM");
      await child.status;
      await all;
      releasePort(port);
    }
    return text;
  };
  // deno-lint-ignore no-control-regex -- the terminal's own language
  const colored = /\x1b\[\d+m/;

  it("is pretty on a terminal, in color unless NO_COLOR is set", async () => {
    const text = await onTerminal({ NO_COLOR: "" });
    assert.doesNotMatch(text, /"msg":"Service listening"/);
    assert.match(text, colored);
    const plain = await onTerminal({ NO_COLOR: "1" });
    assert.doesNotMatch(plain, colored);
  });

  it("is JSON there when it is asked for", async () => {
    const text = await onTerminal({ LOG_FORMAT: "json" });
    const line = text.split(/\r?\n/).find((line) => line.includes("Service listening"));
    assert.equal(JSON.parse(line ?? "").service, "routing");
  });
});

describe("a log that nobody reads", () => {
  const start = () => Amicis.start({ service: "routing", isOutputRead: false });
  const id = "x".repeat(120);
  let sent = 0;

  /** Asks until lines are lost: the pipe is full then, and what may wait for it too. */
  const askUntilDropped = async (amicis: Amicis): Promise<void> => {
    sent = 0;
    const ask = async () => {
      const { status } = await amicis.ask("/health/live", { headers: { "x-correlation-id": id } });
      assert.equal(status, 200);
      sent += 1;
    };
    await eventually(async () => {
      await Promise.all(Array.from({ length: 250 }, ask));
      return ((await amicis.metrics()).value("log_lines_dropped_total") ?? 0) > 0;
    }, { within: "60 seconds", every: "1 millis" });
  };

  it("delays no request; what is lost is counted, and told when there is a reader again", async () => {
    await using amicis = await start();
    await askUntilDropped(amicis);
    amicis.readOutput();
    await amicis.awaitLog({ msg: "Log lines dropped" });
    await amicis.stop();
    const written = amicis.logged({ msg: "Request", route: "/health/live" }).length;
    const lost = amicis.logged({ msg: "Log lines dropped" })
      .reduce((sum, { count }) => sum + Number(count), 0);
    // Scrapes are requests, too; one of them may be the line that was lost.
    assert.ok(
      lost > 0 && written + lost >= sent && written < sent,
      `${written} + ${lost}, ${sent}`,
    );
  });

  it("does not keep the program from ending", async () => {
    await using amicis = await start();
    await askUntilDropped(amicis);
    // It is killed if it has not ended by itself after 10 s.
    assert.equal((await amicis.stop()).code, 0);
  });
});
