/**
 * The embedded dashboard and rules against the program itself: a real Prometheus scrapes both
 * services while Redis goes away and one tenant's token endpoint fails, and then every query must
 * have data.
 */
import { strict as assert } from "node:assert";
import { describe, it } from "@std/testing/bdd";
import { SignJWT } from "jose";
import { Prometheus } from "../deploy/support/Prometheus.ts";
import { eventually } from "../support/eventually.ts";
import { freePort, releasePort } from "../support/ports.ts";
import { Redis } from "../support/servers/Redis.ts";
import { ServerProcess } from "../support/servers/ServerProcess.ts";
import { TokenEndpoint } from "../support/servers/TokenEndpoint.ts";
import { needs } from "../support/Tools.ts";
import { dashboard, filledIn } from "./Dashboard/Dashboard.ts";

const root = new URL("../../", import.meta.url);
const path = (relative: string) => new URL(relative, root).pathname;
const rulesFile = path("src/operations/assets/alerts.yaml");

interface Query {
  readonly from: string;
  readonly expr: string;
  readonly instant: boolean;
}

const queries: ReadonlyArray<Query> = [
  ...dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, instant = false }) => ({ from: title, expr, instant }))
  ),
  ...dashboard.annotations.list.flatMap(({ expr }) =>
    expr === undefined ? [] : [{ from: "annotation", expr, instant: false }]
  ),
  // label_values(series, label): the series must be there.
  ...dashboard.templating.list.flatMap(({ name, definition = "" }) => {
    const series = /^label_values\((.+), \w+\)$/.exec(definition)?.[1];
    return series === undefined ? [] : [{ from: `$${name}`, expr: series, instant: true }];
  }),
];

/** The shortest windows that two scrapes a second allow. */
const windows = { rate: "4s", interval: "4s", range: "1m" };

describe("dashboard.json", () => {
  it("uses only its own variables", () => {
    const known = new Set(dashboard.templating.list.map(({ name }) => name));
    assert.deepEqual([...known], ["datasource", "namespace", "service", "breaker"]);
    for (const { from, expr } of queries) {
      for (const [, name = ""] of expr.matchAll(/\$\{?(\w+)/g)) {
        assert.ok(known.has(name) || name.startsWith("__"), `${from}: $${name}`);
      }
      assert.equal(filledIn(expr, windows).includes("$"), false, from);
    }
  });

  it("describes every panel and asks the chosen data source", () => {
    const panels = dashboard.panels.filter(({ type }) => type !== "row");
    assert.ok(panels.length >= 25);
    for (const { title, description, datasource, targets = [] } of panels) {
      assert.match(description ?? "", /^[A-Z\d].+\.$/, title);
      assert.equal(datasource?.uid, "${datasource}", title);
      assert.ok(targets.length > 0, title);
    }
  });

  it("gives every panel an id and a place of its own", () => {
    const { panels } = dashboard;
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    const taken = new Map<string, string>();
    for (const { title, gridPos: { x, y, w, h } } of panels) {
      assert.ok(x + w <= 24, title);
      for (let column = x; column < x + w; column += 1) {
        for (let line = y; line < y + h; line += 1) {
          const cell = `${column},${line}`;
          assert.equal(taken.get(cell), undefined, `"${title}" lies over "${taken.get(cell)}"`);
          taken.set(cell, title);
        }
      }
    }
  });
});

describe("dashboard.json and alerts.yaml", needs("prometheus", "redis-server"), () => {
  it("find data for every query while Redis is gone and a token endpoint fails", async () => {
    const redis = await Redis.start();
    const endpoint = await TokenEndpoint.start();
    endpoint.behave((request) =>
      request.form.get("client_id") === "broken"
        ? { kind: "answer", status: 500, body: {} }
        : { kind: "ok" }
    );
    const amicis = await Amicis.start(endpoint.url, redis.url);
    const prometheus = await Prometheus.start({
      targets: [
        { job: "amicis-auth", port: amicis.authPort },
        { job: "amicis-routing", port: amicis.routingPort },
      ],
      ruleFiles: [rulesFile],
    });
    try {
      const scraped = (times: number) =>
        eventually(async () => {
          await amicis.traffic();
          const up = await prometheus.query("count_over_time(amicis_build_info[5m])");
          assert.equal(up.filter(({ values: [count = 0] }) => count >= times).length, 2);
        }, { within: "60 seconds", every: "100 millis" });
      await scraped(3);
      await redis.kill();
      const opened = (breaker: string) =>
        `increase(circuit_breaker_transitions_total{breaker="${breaker}",to="open"}[1m]) > 0`;
      await eventually(async () => {
        await amicis.traffic();
        assert.equal((await prometheus.query(opened("token-exchange-broken"))).length, 1);
        assert.equal((await prometheus.query(`count(${opened("redis")})`)).length, 1);
      }, { within: "60 seconds", every: "100 millis" });
      await scraped(12);

      const empty: Array<string> = [];
      for (const { from, expr, instant } of queries) {
        const query = filledIn(expr, windows);
        const series = instant
          ? await prometheus.query(query)
          : await prometheus.queryRange(query, { seconds: 60 });
        if (!series.some(({ values }) => values.some(Number.isFinite))) {
          empty.push(`${from}: ${query}`);
        }
      }
      assert.deepEqual(empty, []);

      const rules = await prometheus.rules();
      assert.deepEqual(rules.flatMap(({ lastError }) => lastError ?? []), []);
      const metrics = rules.flatMap(({ query }) => metricsIn(query));
      const missing: Array<string> = [];
      for (const metric of new Set(metrics)) {
        if ((await prometheus.query(metric)).length === 0) missing.push(metric);
      }
      assert.ok(metrics.length > 0);
      assert.deepEqual(missing, []);

      // On their way to firing; that they fire after their minutes is for the rules' own tests.
      await eventually(async () => {
        await amicis.traffic();
        const pending = new Set(
          (await prometheus.query("ALERTS")).map(({ metric }) => metric["alertname"]),
        );
        assert.deepEqual(
          ["CircuitBreakerOpen", "DependencyDown", "TokenEndpointFailing"]
            .filter((name) => !pending.has(`Amicis${name}`)),
          [],
        );
      }, { within: "30 seconds", every: "200 millis" });
    } finally {
      await prometheus.stop();
      await amicis.stop();
      await endpoint.stop();
      await redis.stop();
    }
  });
});

/** The metrics that a rule reads, without those that other rules record. */
const metricsIn = (query: string): ReadonlyArray<string> =>
  Array.from(
    query.replaceAll(/"[^"]*"/g, '""').matchAll(/(?<![\w:])[a-z]+_[a-z_]+(?![\w:]|\s*\()/g),
    ([name]) => name,
  );

/** All that has metrics only while it is on. */
const optional = {
  BREAKER_ADAPTIVE: "true",
  BREAKER_PROBE_INTERVAL: "200ms",
  MONGODB_ADAPTIVE_CONCURRENCY: "true",
  TOKEN_EXCHANGE_ADAPTIVE_CONCURRENCY: "true",
  MONGODB_HEDGE: "true",
  MONGODB_THROTTLE: "2",
};

/** Both services in one process, with an embedded store and two tenants. */
class Amicis {
  private constructor(
    readonly authPort: number,
    readonly routingPort: number,
    readonly token: string,
    readonly process: ServerProcess,
    readonly dataFile: string,
  ) {}

  static async start(tokenEndpoint: string, redisUrl: string): Promise<Amicis> {
    const [authPort, routingPort] = [freePort(), freePort()];
    const tenant = (tenantId: string) => ({
      tenantId,
      name: tenantId,
      authConfig: { tokenEndpoint, clientId: tenantId },
    });
    const dataFile = await Deno.makeTempFile({ prefix: "amicis-", suffix: ".json" });
    const store = { storeId: "oslo", name: "Oslo", backendUrl: "https://oslo.example" };
    const data = {
      tenants: [tenant("whole"), tenant("broken")],
      stores: [{ tenantId: "whole", backendContext: {}, ...store }],
    };
    await Deno.writeTextFile(dataFile, JSON.stringify(data));
    const secret = crypto.randomUUID();
    const token = await new SignJWT({ tenantId: "whole" })
      .setProtectedHeader({ alg: "HS256" })
      .setSubject("dashboard")
      .setExpirationTime("1h")
      .sign(new TextEncoder().encode(secret));
    const process = await ServerProcess.start({
      program: Deno.execPath(),
      args: ["run", "-A", "--no-check", path("src/main.ts"), "--service=all"],
      env: {
        HOST: "127.0.0.1",
        AUTH_PORT: String(authPort),
        ROUTING_PORT: String(routingPort),
        DATA_FILE: dataFile,
        JWT_SECRET: secret,
        REDIS_URL: redisUrl,
        // Trials soon enough for several to fail while the test looks on.
        BREAKER_OPEN_FOR: "1s",
        ...optional,
        LOG_LEVEL: "error",
      },
      isReady: async () => {
        const answers = await Promise.all([authPort, routingPort].map(async (port) => {
          const answer = await fetch(`http://127.0.0.1:${port}/health/ready`);
          await answer.body?.cancel();
          return answer.status;
        }));
        return answers.every((status) => status === 200);
      },
    });
    return new Amicis(authPort, routingPort, token, process, dataFile);
  }

  async stop(): Promise<void> {
    await this.process.stop();
    await Deno.remove(this.dataFile);
    releasePort(this.authPort);
    releasePort(this.routingPort);
  }

  /** A few requests of every kind; the broken tenant's fail. */
  async traffic(): Promise<void> {
    const exchange = (tenantId: string) =>
      fetch(`http://127.0.0.1:${this.authPort}/auth/exchange`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ userToken: `${tenantId}:${crypto.randomUUID()}` }),
      });
    const route = (query: string) =>
      fetch(`http://127.0.0.1:${this.routingPort}/api/v1/${query}`, {
        headers: { authorization: `Bearer ${this.token}` },
      });
    const answers = await Promise.all([
      exchange("whole"),
      exchange("broken"),
      exchange("broken"),
      route("route?storeId=oslo"),
      route("route?storeId=bergen"),
      route("stores"),
    ]);
    const expected = [200, 503, 503, 200, 404, 200];
    assert.deepEqual(answers.map(({ status }) => status), expected);
    await Promise.all(answers.map(({ body }) => body?.cancel()));
  }
}
