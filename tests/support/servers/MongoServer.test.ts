import { strict as assert } from "node:assert";
import { Effect } from "effect";
import { MongoClient } from "mongodb";
import { eventually } from "../eventually.ts";
import { afterAll, afterEach, beforeAll, describe, it } from "../it.ts";
import { needs } from "../Tools.ts";
import { MongoServer } from "./MongoServer.ts";

const find = (server: MongoServer) =>
  server.use((client) => client.db("amicis").collection("stores").findOne({ storeId: "1" }), {
    retryReads: false,
  });

describe("MongoServer", needs("secantusdb", "openssl"), () => {
  describe("one server", () => {
    let server: MongoServer;
    beforeAll(async () => {
      server = await MongoServer.start();
      await server.insert("amicis", "stores", [{ storeId: "1", name: "One" }]);
    });
    afterEach(() => server.clearFailPoint());
    afterAll(() => server.stop());

    it("failPoint() makes the next commands fail with a code", async () => {
      await server.failPoint({ failCommands: ["find"], errorCode: 50, mode: { times: 1 } });
      await assert.rejects(find(server), { code: 50 });
      assert.equal((await find(server))?.name, "One");
    });

    it("failPoint() closes the connection", async () => {
      await server.failPoint({ failCommands: ["find"], closeConnection: true });
      await assert.rejects(find(server), { name: "MongoNetworkError" });
    });

    it("failPoint() holds a command", async () => {
      await server.failPoint({ failCommands: ["find"], blockTimeMS: 3_000 });
      const slow = server.use(
        (client) => client.db("amicis").collection("stores").findOne({}),
        { retryReads: false, socketTimeoutMS: 200 },
      );
      await assert.rejects(slow, { name: "MongoNetworkTimeoutError" });
    });

    it("keeps data over kill and restart on the same port", async () => {
      const { pid, port } = server;
      await server.insert("amicis", "stores", [{ storeId: "2" }]);
      await server.kill();
      await server.restart();
      assert.notEqual(server.pid, pid);
      assert.equal(server.port, port);
      const count = await server.use((c) => c.db("amicis").collection("stores").countDocuments());
      assert.equal(count, 2);
    });

    it("is silent while paused and answers after resume", async () => {
      server.pause();
      assert.equal(await server.isReady(), false);
      server.resume();
      await eventually(async () => assert.equal(await server.isReady(), true));
    });
  });

  it.live("asks for credentials when started with auth", () =>
    Effect.gen(function* () {
      const auth = { username: "amicis", password: "p@ss/word" };
      const server = yield* MongoServer.scoped({ auth });
      const ping = async (url: string) => {
        const client = new MongoClient(url);
        try {
          return await client.db("amicis").collection("stores").findOne({});
        } finally {
          await client.close(true);
        }
      };
      assert.equal(yield* Effect.promise(() => ping(server.url)), null);
      const wrong = server.url.replace("p%40ss", "wrong");
      yield* Effect.promise(() => assert.rejects(ping(wrong), { code: 18 }));
    }));

  it.live("speaks TLS with its own certificate", () =>
    Effect.gen(function* () {
      const server = yield* MongoServer.scoped({ tls: true });
      assert.match(server.url, /tls=true/);
      assert.equal(yield* Effect.promise(() => server.isReady()), true);
    }));
});
