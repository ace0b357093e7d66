/** Four replicas of the compiled routing service on one Redis and one MongoDB. */
import assert from "node:assert/strict";
import { Amicis } from "../support/Amicis.ts";
import { compileBinary } from "../support/Binary.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, beforeEach, describe, it } from "../support/it.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { Redis } from "../support/servers/Redis.ts";
import { TcpProxy } from "../support/servers/TcpProxy.ts";
import { needs } from "../support/Tools.ts";
import { bearer } from "../support/wire/Jwt.ts";
import { Balancer, during } from "./support/Balancer.ts";
import { insertStores } from "./support/Shops.ts";

const binary = await compileBinary();
const tools = needs("redis-server", "secantusdb");

const adminToken = "replicas-admin-token-0123456789-abcdefgh";
const admin = { authorization: `Bearer ${adminToken}` };
const berlin = "/api/v1/route?storeId=berlin-01";

/** A replica, and the way from it to MongoDB. */
interface Replica {
  readonly amicis: Amicis;
  readonly way: TcpProxy;
}

describe("replicas", { ignore: binary === undefined || tools.ignore }, () => {
  let mongo: MongoServer;
  let redis: Redis;
  let headers: Record<string, string>;
  let replicas: Array<Replica>;

  const start = async (): Promise<Replica> => {
    const way = await TcpProxy.start({ port: mongo.port });
    const amicis = await Amicis.start({
      service: "routing",
      program: [binary ?? "amicis"],
      env: {
        MONGODB_URI: way.url(mongo.url),
        REDIS_URL: redis.url,
        ADMIN_TOKEN: adminToken,
        MONGODB_TIMEOUT: "1s",
        RETRY_INITIAL_DELAY: "20ms",
        BREAKER_OPEN_FOR: "1s",
      },
    });
    return { amicis, way };
  };

  const stop = async ({ amicis, way }: Replica) => {
    const status = await amicis.stop();
    await way.stop();
    return status;
  };

  beforeAll(async () => {
    [mongo, redis] = await Promise.all([MongoServer.start(), Redis.start()]);
    await insertStores(mongo);
    headers = await bearer("ikea");
    replicas = [];
    // One after the other: four starts at once are a lot for a machine that runs other tests too.
    while (replicas.length < 4) replicas.push(await start());
  });
  beforeEach(async () => {
    if (!await mongo.isReady()) await mongo.restart();
  });
  afterAll(async () => {
    await Promise.all((replicas ?? []).map(stop));
    await Promise.all([mongo?.stop(), redis?.stop()]);
  });

  const get = (amicis: Amicis, path = berlin) => amicis.ask(path, { headers });

  const breakerOf = async (amicis: Amicis, name: "mongodb" | "redis") => {
    const { json } = await amicis.ask("/admin/breakers", { headers: admin });
    // deno-lint-ignore no-explicit-any -- JSON as it came
    return json.find((breaker: any) => breaker.name === name);
  };

  const openings = async (amicis: Amicis) =>
    (await amicis.metrics()).value("circuit_breaker_transitions_total", {
      breaker: "mongodb",
      from: "closed",
      to: "open",
    }) ?? 0;

  it("are replaced one after the other under load without one failed request", async () => {
    const balancer = new Balancer();
    for (const { amicis } of replicas) await balancer.admit(amicis);
    const rollOut = async () => {
      for (const old of [...replicas]) {
        // Answers take so long that some are always on their way when the signal comes.
        await old.way.mode({ delay: 150 });
        const sentBefore = balancer.sent.get(old.amicis) ?? 0;
        await eventually(() => (balancer.sent.get(old.amicis) ?? 0) >= sentBefore + 4);
        balancer.withdraw(old.amicis);
        const { code } = await stop(old);
        assert.equal(code, 0);
        const fresh = await start();
        replicas.splice(replicas.indexOf(old), 1, fresh);
        await balancer.admit(fresh.amicis);
        await eventually(() => (balancer.sent.get(fresh.amicis) ?? 0) > 0);
      }
    };
    const paths = [berlin, "/api/v1/stores?limit=2", "/api/v1/route?storeId=nowhere"];
    let turn = 0;
    const { answers, errors } = await during(
      rollOut(),
      15,
      () => balancer.ask(paths[turn++ % paths.length] ?? berlin, { headers }),
    );
    assert.deepEqual(errors, []);
    const statuses = Map.groupBy(answers, ({ status }) => status);
    assert.deepEqual(Array.from(statuses.keys()).toSorted(), [200, 404]);
    assert.equal(
      statuses.get(404)?.length,
      answers.filter(({ json }) => json.error === "Store not found").length,
    );
    assert.equal(balancer.sent.size, 8, "four old ones and four new ones were asked");
  });

  it("forget at once what changes in Redis", async () => {
    const key = "store:ikea:berlin-01";
    const nearHits = async (amicis: Amicis) =>
      (await amicis.metrics()).value("cache_requests_total", { cache: "near", result: "hit" }) ?? 0;
    for (const { amicis } of replicas) {
      await eventually(async () => {
        const before = await nearHits(amicis);
        await get(amicis);
        assert.equal(await nearHits(amicis), before + 1, "from its own memory");
      });
    }
    const value = JSON.parse(String(await redis.command("GET", key)));
    for (const moved of ["https://moved.example", "https://moved-again.example"]) {
      value.store.backendUrl = moved;
      await redis.command("SET", key, JSON.stringify(value));
      // The change is pushed to all of them: each is asked until it knows, none may forget again.
      await eventually(async () => {
        const answers = await Promise.all(replicas.map(({ amicis }) => get(amicis)));
        assert.deepEqual(answers.map(({ json }) => json.backendUrl), Array(4).fill(moved));
      });
      const again = await Promise.all(replicas.map(({ amicis }) => get(amicis)));
      assert.deepEqual(again.map(({ json }) => json.backendUrl), Array(4).fill(moved));
    }
    await redis.command("DEL", key);
  });

  it("all take over what an operator overrides at one, those that start later too", async () => {
    const override = async ({ amicis }: Replica, action: string) => {
      const { status } = await amicis.ask("/admin/breakers/mongodb?fleet=true", {
        method: "POST",
        headers: admin,
        body: { action },
      });
      assert.equal(status, 200);
    };
    const [first, second] = replicas;
    assert.ok(first !== undefined && second !== undefined);
    const allAre = (mode: string) =>
      eventually(async () => {
        const modes = await Promise.all(
          replicas.map(async ({ amicis }) => (await breakerOf(amicis, "mongodb")).mode),
        );
        assert.deepEqual(new Set(modes), new Set([mode]));
      });
    await override(first, "open");
    await allAre("forced-open");
    assert.equal((await get(second.amicis, "/api/v1/stores")).status, 503);
    const late = await start();
    replicas.push(late);
    await allAre("forced-open");
    await override(second, "auto");
    await allAre("auto");
    await eventually(async () => {
      const answers = await Promise.all(
        replicas.map(({ amicis }) => get(amicis, "/api/v1/stores")),
      );
      assert.deepEqual(answers.map(({ status }) => status), Array(5).fill(200));
    });
    await stop(late);
    replicas.pop();
  });

  it("each find out an outage by themselves, and end it by themselves", async () => {
    const askAll = () => Promise.all(replicas.map(({ amicis }) => get(amicis, "/api/v1/stores")));
    const states = () =>
      Promise.all(replicas.map(async ({ amicis }) => (await breakerOf(amicis, "mongodb")).state));
    await eventually(async () => {
      await askAll();
      assert.deepEqual(await states(), Array(4).fill("closed"));
    });
    const before = await Promise.all(replicas.map(({ amicis }) => openings(amicis)));
    const [cutOff] = replicas;
    assert.ok(cutOff !== undefined);

    // One way is broken: only the replica behind it opens, and the others are asked all the time.
    await cutOff.way.mode("refuse");
    await eventually(async () => {
      const [own, ...others] = await askAll();
      assert.deepEqual(others.map(({ status }) => status), [200, 200, 200]);
      assert.equal(own?.status, 503);
      assert.deepEqual(await states(), ["open", "closed", "closed", "closed"]);
    });

    // The server is gone: each of the others finds out by its own failed calls.
    await mongo.kill();
    for (const [index, { amicis }] of replicas.entries()) {
      const untouched = replicas.slice(Math.max(index, 1) + 1);
      await eventually(async () => {
        await get(amicis, "/api/v1/stores");
        assert.ok(await openings(amicis) > (before[index] ?? 0));
      });
      for (const other of untouched) {
        assert.equal((await breakerOf(other.amicis, "mongodb")).state, "closed");
      }
    }

    await mongo.restart();
    await cutOff.way.mode("pass");
    await eventually(async () => {
      await askAll();
      assert.deepEqual(await states(), Array(4).fill("closed"));
    }, { within: "30 seconds" });
    const after = await askAll();
    assert.deepEqual(after.map(({ status }) => status), Array(4).fill(200));
  });
});
