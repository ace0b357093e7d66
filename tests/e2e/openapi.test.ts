/** The OpenAPI documents: they lint, and real answers of every kind are what they announce. */
import assert from "node:assert/strict";
import { Amicis, type Ask } from "../support/Amicis.ts";
import { afterAll, beforeAll, describe, it } from "../support/it.ts";
import { freePort, releasePort } from "../support/ports.ts";
import { TokenEndpoint } from "../support/servers/TokenEndpoint.ts";
import { needs, REDOCLY_VERSION } from "../support/Tools.ts";
import { assertDocumented } from "../support/wire/Documented.ts";
import { bearer } from "../support/wire/Jwt.ts";
import { violations } from "../support/wire/JsonSchema.ts";
import { store, tenant } from "./support/Shops.ts";

const adminToken = "an-admin-token-for-the-documents";

/** Writes a data file for the embedded store. */
async function dataFile(content: unknown): Promise<string> {
  const path = await Deno.makeTempFile({ prefix: "amicis-data-", suffix: ".json" });
  await Deno.writeTextFile(path, JSON.stringify(content));
  return path;
}

describe("openapi", () => {
  let routing: Amicis;
  let auth: Amicis;
  let endpoint: TokenEndpoint;
  let file: string;
  const closed = freePort();

  beforeAll(async () => {
    endpoint = await TokenEndpoint.start();
    file = await dataFile({
      tenants: [
        tenant("ikea", endpoint.url),
        tenant("dead", `http://127.0.0.1:${closed}/token`),
      ],
      stores: [
        store("ikea", "berlin-01", { location: { lat: 1, lon: 2 } }),
        store("ikea", "paris-01", { backendContext: null }),
      ],
    });
    [routing, auth] = await Promise.all([
      Amicis.start({
        service: "routing",
        env: {
          DATA_FILE: file,
          ADMIN_TOKEN: adminToken,
          RATE_LIMIT_BURST: "30",
          RATE_LIMIT_RPS: "0.1",
        },
      }),
      Amicis.start({
        service: "auth",
        env: {
          DATA_FILE: file,
          ADMIN_TOKEN: adminToken,
          REQUEST_TIMEOUT: "3s",
          TOKEN_EXCHANGE_TIMEOUT: "300ms",
          RETRY_INITIAL_DELAY: "10ms",
          RATE_LIMIT_BURST: "10",
          RATE_LIMIT_RPS: "0.1",
        },
      }),
    ]);
  });
  afterAll(async () => {
    await Promise.all([routing?.stop(), auth?.stop(), endpoint?.stop()]);
    releasePort(closed);
    if (file !== undefined) await Deno.remove(file);
  });

  it("lints without a warning", needs("redocly"), async () => {
    for (const service of [routing, auth]) {
      const { status, text } = await service.ask("/openapi.json");
      assert.equal(status, 200);
      const path = await Deno.makeTempFile({ suffix: ".json" });
      await Deno.writeTextFile(path, text);
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "-A", "--quiet", "--no-config", "--no-lock"],
          ...[`npm:@redocly/cli@${REDOCLY_VERSION}`, "lint", "--max-problems=20", path],
        ],
        env: { REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true", NO_COLOR: "1" },
      }).output();
      const output = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
      await Deno.remove(path);
      assert.equal(code, 0, output);
      assert.match(output, /description is valid/);
      assert.doesNotMatch(output, /You have \d+ warning/);
    }
  });

  /** Sends a request and holds its answer against the document of the service. */
  const checker = async (service: Amicis) => {
    const document = (await service.ask("/openapi.json")).json;
    return async (status: number, template: string, path: string, request: Ask = {}) => {
      const answer = await service.ask(path, request);
      assert.equal(answer.status, status, `${path}: ${answer.text}`);
      assertDocumented(document, request.method ?? "GET", template, answer);
      return answer;
    };
  };

  it("announces every answer of routing", async () => {
    const check = await checker(routing);
    const headers = await bearer("ikea");
    const admin = { authorization: `Bearer ${adminToken}` };
    const [route, list, record] = [
      "/api/v1/route",
      "/api/v1/stores",
      "/api/v1/stores/{storeId}",
    ] as const;
    await check(200, route, `${route}?storeId=berlin-01`, { headers });
    await check(200, route, `${route}?storeId=berlin-01`, { headers });
    await check(200, route, `${route}?storeId=paris-01`, { headers });
    await check(200, list, `${list}?limit=1`, { headers });
    await check(200, list, list, { headers: await bearer("nobody") });
    await check(200, record, `${list}/berlin-01`, { headers });
    await check(200, record, `${list}/paris-01`, { headers });
    await check(400, route, route, { headers });
    await check(400, list, `${list}?limit=0`, { headers });
    await check(400, record, `${list}/%20`, { headers });
    for (const path of [route, list]) {
      await check(401, path, path);
      await check(401, path, path, { headers: { authorization: "Bearer x.y.z" } });
      await check(403, path, path, { headers: await bearer("a:b") });
      await check(414, path, `${path}?${"x".repeat(8200)}`, { headers });
    }
    await check(404, route, `${route}?storeId=none`, { headers });
    await check(404, record, `${list}/none`, { headers });

    for (const path of ["/health", "/health/live", "/health/ready", "/metrics", "/status"]) {
      await check(200, path, path);
    }
    await check(200, "/openapi.json", "/openapi.json");
    await check(200, "/admin/breakers", "/admin/breakers", { headers: admin });
    await check(401, "/admin/breakers", "/admin/breakers");
    const control = "/admin/breakers/{name}";
    const act = (status: number, name: string, body: unknown, given = admin) =>
      check(status, control, `/admin/breakers/${name}`, { method: "POST", headers: given, body });
    await act(400, "mongodb", { action: "explode" });
    await act(404, "nothing", { action: "open" });
    await act(401, "mongodb", { action: "open" }, { authorization: "Bearer wrong" });
    await act(415, "mongodb", "open");
    await act(200, "mongodb", { action: "open" });
    await check(503, list, list, { headers });
    await check(200, "/health", "/health");
    await check(200, "/admin/breakers", "/admin/breakers", { headers: admin });
    await act(200, "mongodb", { action: "auto" });
    await check(200, "/admin/log-level", "/admin/log-level", { headers: admin });
    const level = { method: "POST", headers: admin, body: { level: "info" } };
    await check(200, "/admin/log-level", "/admin/log-level", level);
    for (;;) {
      const { status } = await routing.ask(list, { headers });
      if (status === 429) break;
      assert.equal(status, 200);
    }
    await check(429, list, list, { headers });
  });

  it("announces every answer of auth", async () => {
    const check = await checker(auth);
    const path = "/auth/exchange";
    let asked = 0;
    const exchange = (status: number, tenantId = "ikea") =>
      check(status, path, path, {
        method: "POST",
        body: { userToken: `${tenantId}:${++asked}` },
      });
    const { paths } = (await auth.ask("/openapi.json")).json;
    const { json } = await exchange(200);
    assert.deepEqual(Object.keys(json), ["accessToken", "expiresIn", "tenant"]);
    const { schema } = paths[path].post.requestBody.content["application/json"];
    const document = (await auth.ask("/openapi.json")).json;
    assert.deepEqual(violations(schema, { userToken: "ikea:1" }, document), []);
    assert.notDeepEqual(violations(schema, { userToken: "ikea" }, document), []);
    await check(400, path, path, { method: "POST", body: {} });
    await check(400, path, path, { method: "POST", body: { userToken: "x" } });
    await check(413, path, path, { method: "POST", body: { userToken: "x".repeat(20_000) } });
    await check(414, path, `${path}?${"x".repeat(8200)}`, { method: "POST", body: {} });
    await check(415, path, path, { method: "POST", body: "plain" });
    await exchange(404, "nobody");
    endpoint.behave({ kind: "answer", status: 401 });
    await exchange(401);
    endpoint.behave({ kind: "redirect", location: "https://elsewhere.example" });
    await exchange(502);
    endpoint.behave({ kind: "ok" });
    for (let call = 0; call < 4; call++) await exchange(503, "dead");
    await check(200, "/health", "/health");
    await check(200, "/metrics", "/metrics");
    for (;;) {
      const { status } = await auth.ask(path, { method: "POST", body: { userToken: "ikea:x" } });
      if (status === 429) break;
      assert.equal(status, 200);
    }
    await exchange(429);
  });
});
