/** The compiled binary under its own narrow permissions: flags, exit codes, services, signals. */
import assert from "node:assert/strict";
import { Amicis, type AmicisOptions, runToEnd } from "../support/Amicis.ts";
import { compileBinary } from "../support/Binary.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, describe, it } from "../support/it.ts";
import { freePort, releasePort } from "../support/ports.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { Redis } from "../support/servers/Redis.ts";
import { TelemetryReceiver } from "../support/servers/TelemetryReceiver.ts";
import { TokenEndpoint } from "../support/servers/TokenEndpoint.ts";
import { needs } from "../support/Tools.ts";
import { accepted, itemsOf } from "../support/wire/AppInsightsItems.ts";
import { bearer } from "../support/wire/Jwt.ts";
import { spansOf } from "../support/wire/OtlpJson.ts";
import { assertProblem } from "./support/Problems.ts";
import { database, insertStores, tenant } from "./support/Shops.ts";

const binary = await compileBinary();
const program = [binary ?? "amicis"];

const run = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
  runToEnd(args, { program, env });
const start = (options: AmicisOptions) => Amicis.start({ program, ...options });

/** What no user should ever be shown. */
const stackTrace = /^\s+at |file:\/\/|\.ts:\d|node_modules|Uncaught|NotCapable/m;

describe("binary", { ignore: binary === undefined }, () => {
  describe("command line", () => {
    it("prints help and version and ends with 0", async () => {
      const help = await run(["--help"]);
      assert.equal(help.code, 0);
      assert.match(help.stdout, /^Usage: amicis/);
      const version = await run(["--version"]);
      assert.deepEqual(version, { code: 0, stdout: "0.1.0\n", stderr: "" });
    });

    it("ends with 64 and the usage on wrong use", async () => {
      // Each kind once: what is wrong use is tested where it is decided.
      const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
        [[], "No service chosen"],
        [["--wat"], 'Unknown argument "--wat"'],
        [["--service=shop"], 'Unknown service "shop"'],
      ];
      for (const [args, sentence] of wrong) {
        const { code, stdout, stderr } = await run(args);
        assert.equal(code, 64, args.join(" "));
        assert.equal(stdout, "");
        assert.ok(stderr.startsWith(sentence), stderr);
        assert.match(stderr, /^Usage: amicis/m);
        assert.doesNotMatch(stderr, stackTrace);
      }
    });

    it("ends with 78 and one line for every problem of the configuration", async () => {
      const env = {
        PORT: "none",
        MONGODB_URI: "postgres://db",
        REDIS_URL: "http://cache",
        JWT_SECRET: "hunter2",
        MONGODB_TIMEOUT: "soon",
        BREAKER_FAILURE_RATE: "2",
        TOKEN_CACHE_KEY: "hunter2",
        ADMIN_TOKEN: "hunter2",
        LOG_LEVEL: "loud",
      };
      for (const args of [["--service=all"], ["--service=all", "--check"]]) {
        const { code, stdout, stderr } = await run(args, env);
        assert.equal(code, 78);
        assert.equal(stdout, "");
        const lines = stderr.trimEnd().split("\n");
        assert.deepEqual(
          lines.map((line) => /^[A-Z_]+/.exec(line)?.[0]).sort(),
          Object.keys(env).sort(),
        );
        assert.doesNotMatch(stderr, stackTrace);
        assert.equal(stderr.includes("hunter2"), false);
      }
    });

    it("ends with 78 on a DATA_FILE it cannot use, and with 1 on a port in use", async () => {
      const file = await Deno.makeTempFile({ suffix: ".json" });
      const port = freePort();
      const listener = Deno.listen({ hostname: "127.0.0.1", port });
      try {
        for (const content of ["{", '{"tenants":[{}],"stores":[]}']) {
          await Deno.writeTextFile(file, content);
          const { code, stderr } = await run(["--service=auth"], { DATA_FILE: file });
          assert.equal(code, 78);
          assert.match(stderr, /^DATA_FILE /);
          assert.doesNotMatch(stderr, stackTrace);
        }
        const missing = await run(["--service=auth"], { DATA_FILE: `${file}.none` });
        assert.equal(missing.code, 78);
        const env = { HOST: "127.0.0.1", PORT: String(port) };
        const { code, stdout, stderr } = await run(["--service=auth"], env);
        assert.equal(code, 1);
        assert.equal(stderr, `Cannot listen on "127.0.0.1:${port}": address is in use\n`);
        assert.doesNotMatch(stdout, stackTrace);
      } finally {
        listener.close();
        releasePort(port);
        await Deno.remove(file);
      }
    });

    it("refuses to verify tokens with no secret beside a real database", async () => {
      const env = { MONGODB_URI: "mongodb://127.0.0.1" };
      const { code, stderr } = await run(["--service=routing", "--check"], env);
      assert.equal(code, 78);
      assert.match(stderr, /^JWT_SECRET or JWT_JWKS_URL must be set/);
      assert.equal((await run(["--service=auth", "--check"], env)).code, 0);
    });

    it("shows the configuration without its secrets for --check", async () => {
      const secrets = {
        JWT_SECRET: "a-secret-of-32-bytes-to-look-for-in-it",
        MONGODB_URI: "mongodb://user:look-for@db/?directConnection=true",
        REDIS_URL: "redis://:look-for@cache",
        ADMIN_TOKEN: "look-for-this-token",
        TOKEN_CACHE_KEY: btoa("look-for".repeat(4)),
        OTEL_EXPORTER_OTLP_HEADERS: "x-api-key=look-for",
        APPLICATIONINSIGHTS_CONNECTION_STRING:
          "InstrumentationKey=00000000-1111-2222-3333-444444444444;ApplicationId=look-for",
      };
      const { code, stdout, stderr } = await run(["--service=all", "--check"], {
        ...secrets,
        CACHE_TTL: "90s",
      });
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^CACHE_TTL = 90s$/m);
      assert.match(stdout, /^RETRY_FACTOR = 2 \(default\)$/m);
      for (const [name, value] of Object.entries(secrets)) {
        assert.match(stdout, new RegExp(`^${name} = <redacted>$`, "m"));
        assert.equal(stdout.includes(value), false);
      }
      assert.equal(stdout.includes("look-for"), false);
    });

    it("prints its documents", async () => {
      const alerts = await run(["--print=alerts"]);
      assert.equal(alerts.code, 0);
      assert.match(alerts.stdout, /^groups:$/m);
      const dashboard = await run(["--print=dashboard"]);
      assert.ok(JSON.parse(dashboard.stdout).panels.length > 0);
      for (const [service, path] of [["auth", "/auth/exchange"], ["routing", "/api/v1/route"]]) {
        const { code, stdout } = await run([`--service=${service}`, "--print=openapi"]);
        assert.equal(code, 0);
        const { openapi, paths } = JSON.parse(stdout);
        assert.match(openapi, /^3\.1\./);
        assert.ok(Object.keys(paths).includes(path ?? ""));
      }
    });
  });

  describe("services", () => {
    it("send traces by OTLP and to Application Insights when the environment says so", async () => {
      await using collector = new TelemetryReceiver();
      await using insights = new TelemetryReceiver(accepted);
      const key = "00000000-1111-2222-3333-444444444444";
      await using amicis = await start({
        service: "routing",
        env: {
          OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
          APPLICATIONINSIGHTS_CONNECTION_STRING:
            `InstrumentationKey=${key};IngestionEndpoint=${insights.url}`,
        },
      });
      const path = "/api/v1/route?storeId=berlin-01";
      assert.equal((await amicis.ask(path, { headers: await bearer("ikea") })).status, 200);
      assert.equal((await amicis.stop()).code, 0);
      const request = spansOf(collector.deliveries).find(({ kind }) => kind === "server");
      assert.equal(request?.name, "GET /api/v1/route");
      const item = itemsOf(insights.deliveries, key).find(({ type }) => type === "RequestData");
      assert.equal(item?.data.id, request?.spanId);
    });

    for (const trouble of ["nobody listens", "the receiver never answers"]) {
      for (const exporter of ["otlp", "applicationinsights"] as const) {
        it(`answer and end as ever with ${exporter} when ${trouble}`, async () => {
          await using receiver = new TelemetryReceiver();
          receiver.behaviour = "hangs";
          const url = trouble === "nobody listens" ? "http://127.0.0.1:9" : receiver.url;
          const key = "00000000-1111-2222-3333-444444444444";
          await using amicis = await start({
            service: "routing",
            env: {
              OTEL_BSP_SCHEDULE_DELAY: "20",
              ...(exporter === "otlp" ? { OTEL_EXPORTER_OTLP_ENDPOINT: url } : {
                APPLICATIONINSIGHTS_CONNECTION_STRING:
                  `InstrumentationKey=${key};IngestionEndpoint=${url}`,
              }),
            },
          });
          const headers = await bearer("ikea");
          const ask = async () => {
            const { status } = await amicis.ask("/api/v1/stores", { headers });
            assert.equal(status, 200);
          };
          for (let call = 0; call < 20; call += 1) await ask();
          if (url === receiver.url) await eventually(() => receiver.deliveries.length > 0);
          for (let call = 0; call < 20; call += 1) await ask();
          assert.equal((await amicis.stop()).code, 0, amicis.stderr);
          const told = amicis.logged({ msg: "Telemetry not delivered", exporter });
          assert.equal(told.length, 1, amicis.stdout);
          assert.doesNotMatch(amicis.stdout + amicis.stderr, stackTrace);
        });
      }
    }

    it("run on embedded data with a demo token, and answer their health checks", async () => {
      await using amicis = await start({ service: "all", env: { JWT_SECRET: "" } });
      const line = /^Demo token of tenant "ikea": (\S+)$/m;
      await eventually(() => line.test(amicis.stderr));
      const token = line.exec(amicis.stderr)?.[1];
      assert.ok(token !== undefined);
      assert.equal(amicis.stdout.includes(token), false, "not into the log");
      const headers = { authorization: `Bearer ${token}` };
      assert.equal((await amicis.ask("/api/v1/stores", { headers })).json.length, 3);
      const env = {
        AUTH_PORT: String(amicis.authPort),
        ROUTING_PORT: String(amicis.port),
      };
      assert.equal((await run(["--service=all", "--healthcheck"], env)).code, 0);
      const own = (port: number) => ({ PORT: String(port) });
      const routing = await run(["--service=routing", "--healthcheck"], own(amicis.port));
      assert.equal(routing.code, 0, routing.stderr);
      const nobody = freePort();
      const dead = await run(["--service=routing", "--healthcheck"], own(nobody));
      releasePort(nobody);
      assert.equal(dead.code, 1);
      assert.doesNotMatch(dead.stderr, stackTrace);
      for (const path of ["/status", "/metrics", "/openapi.json"]) {
        assert.equal((await amicis.ask(path)).status, 200, path);
      }
      assert.equal((await amicis.stop()).code, 0);
      assert.doesNotMatch(amicis.stdout + amicis.stderr, stackTrace);
    });

    it(
      "work with real servers that want TLS and passwords",
      needs(
        "secantusdb",
        "redis-server",
        "openssl",
      ),
      async () => {
        const user = { username: "amicis", password: "p@ss/w:rd" };
        const [mongo, redis, endpoint] = await Promise.all([
          MongoServer.start({ tls: true, auth: user }),
          Redis.start({ tls: true, password: "p@ss/w:rd" }),
          TokenEndpoint.start(),
        ]);
        try {
          await insertStores(mongo);
          await mongo.insert(database, "tenants", [tenant("ikea", endpoint.url)]);
          await using amicis = await start({
            service: "all",
            env: {
              MONGODB_URI: mongo.url,
              REDIS_URL: redis.url,
              TOKEN_CACHE_KEY: btoa("k".repeat(32)),
              // The runtime's own variable for further authorities.
              DENO_CERT: redis.certificate?.caFile ?? "",
            },
          });
          const headers = await bearer("ikea");
          await eventually(async () => {
            const { status, headers: answered } = await amicis.ask(
              "/api/v1/route?storeId=berlin-01",
              { headers },
            );
            assert.equal(status, 200);
            assert.equal(answered.get("x-cache"), "HIT");
          });
          const exchanged = await amicis.askAuth("/auth/exchange", {
            method: "POST",
            body: { userToken: "ikea:shopper" },
          });
          assert.equal(exchanged.status, 200, exchanged.text);
          await amicis.awaitHealth(({ status }) => status === "healthy");
          assert.equal((await amicis.askAuth("/health")).json.status, "ok");
          assert.equal((await amicis.stop()).code, 0);
          assert.doesNotMatch(amicis.stdout + amicis.stderr, stackTrace);
        } finally {
          await Promise.all([mongo.stop(), redis.stop(), endpoint.stop()]);
        }
      },
    );
  });

  describe("signals", () => {
    let endpoint: TokenEndpoint;
    let file: string;

    beforeAll(async () => {
      endpoint = await TokenEndpoint.start();
      file = await Deno.makeTempFile({ suffix: ".json" });
      const data = { stores: [], tenants: [tenant("ikea", endpoint.url)] };
      await Deno.writeTextFile(file, JSON.stringify(data));
    });
    afterAll(async () => {
      await endpoint?.stop();
      if (file !== undefined) await Deno.remove(file);
    });

    /** A service with a request in flight that ends only when the test lets it. */
    const busy = async (env: Readonly<Record<string, string>> = {}) => {
      endpoint.forget();
      endpoint.behave({ kind: "hang" });
      const amicis = await start({
        service: "auth",
        env: { DATA_FILE: file, TOKEN_EXCHANGE_TIMEOUT: "2s", RETRY_MAX_ATTEMPTS: "2", ...env },
      });
      const request = amicis.ask("/auth/exchange", {
        method: "POST",
        body: { userToken: `ikea:${crypto.randomUUID()}` },
      });
      request.catch(() => {});
      await eventually(() => assert.equal(endpoint.requests.length, 1));
      const answer = () => endpoint.behave({ kind: "ok" });
      return { amicis, request, answer };
    };

    it("SIGTERM finishes what is in flight, says so by readiness, and ends with 0", async () => {
      for (const signal of ["SIGTERM", "SIGINT"] as const) {
        const { amicis, request, answer } = await busy();
        await using _ = amicis;
        amicis.signal(signal);
        await eventually(async () => {
          const ready = await amicis.ask("/health/ready");
          assert.equal(ready.status, 503);
          assert.equal(
            ready.json.detail,
            "The service is stopping and finishes what is in flight.",
          );
        });
        assert.equal((await amicis.ask("/health/live")).status, 200);
        // The first attempt times out, the second one is answered.
        answer();
        const answered = await request;
        assert.equal(answered.status, 200, answered.text);
        assert.equal(answered.headers.get("connection"), "close");
        assert.equal((await amicis.ended).code, 0);
        assert.equal(amicis.logged({ msg: "Service stopping" }).length, 1);
      }
    });

    it("SIGTERM answers what is not done within SHUTDOWN_GRACE with 503", async () => {
      const { amicis, request } = await busy({ SHUTDOWN_GRACE: "300ms" });
      await using _ = amicis;
      amicis.signal("SIGTERM");
      assertProblem(
        await request,
        503,
        "Token service temporarily unavailable. Please retry.",
      );
      assert.equal((await amicis.ended).code, 0);
    });

    it("a second SIGTERM ends it at once", async () => {
      const { amicis, request } = await busy({
        TOKEN_EXCHANGE_TIMEOUT: "1h",
        REQUEST_TIMEOUT: "1h",
      });
      await using _ = amicis;
      amicis.signal("SIGTERM");
      await amicis.awaitLog({ msg: "Signal received", signal: "SIGTERM" });
      amicis.signal("SIGTERM");
      assert.equal((await amicis.ended).code, 143);
      await assert.rejects(request);
    });

    it("SIGTERM ends an idle service with 0, also while its dependencies are away", async () => {
      const port = freePort();
      await using amicis = await start({
        service: "all",
        until: "answering",
        env: {
          MONGODB_URI: `mongodb://127.0.0.1:${port}`,
          REDIS_URL: `redis://127.0.0.1:${port}`,
        },
      }).catch((error) => {
        releasePort(port);
        throw error;
      });
      amicis.signal("SIGTERM");
      assert.equal((await amicis.ended).code, 0);
      releasePort(port);
    });
  });
});
