/**
 * What changes while the services run: keys of issuers, keys of the token cache, tenants. Some of it
 * holds within a minute, and is waited for that long in real time; so all of it runs at once.
 */
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Amicis } from "../support/Amicis.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, describe, it } from "../support/it.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { Redis } from "../support/servers/Redis.ts";
import { TokenEndpoint } from "../support/servers/TokenEndpoint.ts";
import { needs } from "../support/Tools.ts";
import { assertProblem } from "./support/Problems.ts";
import { database, tenant } from "./support/Shops.ts";

const key = (fill: number) => btoa(String.fromCharCode(...new Uint8Array(32).fill(fill)));
const cacheName = (userToken: string) =>
  `token:${createHash("sha256").update(userToken).digest("hex")}`;

/** A signing key as its issuer publishes it, and tokens signed with it. */
const signingKey = async (kid: string) => {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const jwk: JWK = { ...await exportJWK(publicKey), kid, alg: "ES256", use: "sig" };
  let issued = 0;
  const sign = () =>
    new SignJWT({ tenantId: "ikea", jti: `${kid}-${++issued}` })
      .setProtectedHeader({ alg: "ES256", kid })
      .setSubject("shopper").setExpirationTime("1h").sign(privateKey);
  return { jwk, sign };
};

describe("rotation", needs("redis-server", "secantusdb"), () => {
  let mongo: MongoServer;
  let redis: Redis;
  let endpoint: TokenEndpoint;

  beforeAll(async () => {
    [mongo, redis, endpoint] = await Promise.all([
      MongoServer.start(),
      Redis.start(),
      TokenEndpoint.start(),
    ]);
    await mongo.insert(database, "tenants", [
      tenant("ikea", endpoint.url),
      tenant("leaving", endpoint.url),
    ]);
  });
  afterAll(async () => {
    await Promise.all([mongo?.stop(), redis?.stop(), endpoint?.stop()]);
  });

  const env = (keys: string) => ({
    MONGODB_URI: mongo.url,
    REDIS_URL: redis.url,
    TOKEN_CACHE_KEY: keys,
    RATE_LIMIT_RPS: "10000",
    RATE_LIMIT_BURST: "10000",
  });
  const exchange = (service: Amicis, userToken: string) =>
    service.ask("/auth/exchange", { method: "POST", body: { userToken } });
  const cached = async (userToken: string) =>
    await eventually(async () => {
      const value = await redis.command("GET", cacheName(userToken));
      assert.equal(typeof value, "string");
      return String(value);
    });

  it("a new key of the token cache comes in front, and the old one goes when nobody needs it", async () => {
    await using before = await Amicis.start({ service: "auth", env: env(key(1)) });
    await using during = await Amicis.start({ service: "auth", env: env(`${key(2)},${key(1)}`) });
    await using after = await Amicis.start({ service: "auth", env: env(key(2)) });
    const keyIdOf = (sealed: string) => sealed.split(".")[0];
    const asked = () => endpoint.requests.length;

    endpoint.forget();
    const old = (await exchange(before, "ikea:of-old")).json.accessToken;
    const sealedOld = await cached("ikea:of-old");
    assert.equal((await exchange(during, "ikea:of-old")).json.accessToken, old);
    assert.equal(asked(), 1, "the old key still opens");

    const fresh = (await exchange(during, "ikea:of-new")).json.accessToken;
    const sealedNew = await cached("ikea:of-new");
    assert.notEqual(keyIdOf(sealedNew), keyIdOf(sealedOld), "sealed with the first key");
    assert.equal((await exchange(after, "ikea:of-new")).json.accessToken, fresh);
    assert.equal(asked(), 2);

    // Who does not have the key asks anew, and is not troubled.
    const again = (await exchange(after, "ikea:of-old")).json.accessToken;
    assert.notEqual(again, old);
    assert.equal(asked(), 3);
    await eventually(async () =>
      assert.equal(keyIdOf(await cached("ikea:of-old")), keyIdOf(sealedNew))
    );
    assert.equal((await exchange(during, "ikea:of-old")).json.accessToken, again);
    assert.equal((await exchange(before, "ikea:of-new")).status, 200);
    assert.equal(asked(), 4);
  });

  it("within a minute a disabled tenant is not served, and an issuer's new key is", async () => {
    await Promise.all([disabledTenant(), rotatedIssuer()]);
  });

  /** Also in a process that has its tokens cached, and one that has them in memory only. */
  const disabledTenant = async () => {
    const { TOKEN_CACHE_KEY: _, ...keyless } = env("");
    await using shared = await Amicis.start({ service: "auth", env: env(key(1)) });
    await using alone = await Amicis.start({ service: "auth", env: keyless });
    const services = [shared, alone];
    for (const service of services) {
      const { json } = await exchange(service, "leaving:token");
      await eventually(async () =>
        assert.equal((await exchange(service, "leaving:token")).json.accessToken, json.accessToken)
      );
    }
    await mongo.use(async (client) => {
      await client.db(database).collection("tenants").updateOne(
        { tenantId: "leaving" },
        { $set: { enabled: false } },
      );
    });
    for (const service of services) {
      await eventually(async () => {
        assertProblem(await exchange(service, "leaving:token"), 404, "Unknown tenant");
      }, { within: "62 seconds", every: "250 millis" });
      assert.equal((await exchange(service, "ikea:token")).status, 200);
    }
  };

  const rotatedIssuer = async () => {
    const [first, second] = await Promise.all([signingKey("first"), signingKey("second")]);
    let keys = [first.jwk];
    let fetches = 0;
    const issuer = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => {
      fetches++;
      return Response.json({ keys });
    });
    try {
      const { port } = issuer.addr;
      await using amicis = await Amicis.start({
        service: "routing",
        env: {
          JWT_SECRET: "",
          JWT_JWKS_URL: `http://127.0.0.1:${port}/keys`,
          RATE_LIMIT_RPS: "10000",
          RATE_LIMIT_BURST: "10000",
        },
      });
      const ask = async (token: string) =>
        await amicis.ask("/api/v1/stores", { headers: { authorization: `Bearer ${token}` } });
      const old = await first.sign();
      assert.equal((await ask(old)).status, 200);

      keys = [second.jwk];
      // The issuer has just been asked: it is left alone for half a minute, whatever is brought.
      await eventually(async () => {
        const answer = await ask(await second.sign());
        if (answer.status !== 200) assertProblem(answer, 401, "Token is invalid");
        assert.equal(answer.status, 200);
      }, { within: "45 seconds", every: "100 millis" });
      assert.equal(fetches, 2);
      // The old key was withdrawn: good for nothing new, and soon for nothing at all.
      assertProblem(await ask(await first.sign()), 401, "Token is invalid");
      await eventually(async () => {
        assertProblem(await ask(old), 401, "Token is invalid");
      }, { within: "62 seconds", every: "500 millis" });
      assert.ok(fetches <= 3, "once in half a minute at most");
    } finally {
      await issuer.shutdown();
    }
  };
});
