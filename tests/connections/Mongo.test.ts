/** MongoConnection against a real server that comes, goes and hangs. */
import { Context, Effect, Exit, Fiber, Layer, Redacted, Scope } from "effect";
import assert from "node:assert/strict";
import {
  type InvalidMongoUri,
  MongoConnection,
  type MongoOptions,
} from "../../src/connections/Mongo.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { TcpProxy } from "../support/servers/TcpProxy.ts";
import { needs } from "../support/Tools.ts";

const connect = (
  uri: string,
  options: Partial<MongoOptions> = {},
): Effect.Effect<Context.Tag.Service<MongoConnection>, InvalidMongoUri, Scope.Scope> =>
  Layer.build(
    MongoConnection.layer({
      uri: Redacted.make(uri),
      database: "test",
      timeout: "1 second",
      ...options,
    }),
  ).pipe(Effect.map(Context.get(MongoConnection)));

const find = (mongo: Context.Tag.Service<MongoConnection>) =>
  mongo.run("mongodb_find", (db, signal) => db.collection("stores").findOne({}, { signal }));

const promise = <A>(body: () => Promise<A>) => Effect.promise(body);

describe("MongoConnection", needs("secantusdb"), () => {
  it.live("layer connects in the background and db gives the database", () =>
    Effect.gen(function* () {
      const server = yield* MongoServer.scoped();
      const mongo = yield* connect(server.url);
      const db = yield* eventually(mongo.db);
      assert.equal(db.databaseName, "test");
      yield* mongo.ping;
    }));

  it.live("layer is built at once and db, run and ping fail at once when nothing listens", () =>
    Effect.gen(function* () {
      const server = yield* MongoServer.scoped();
      yield* promise(() => server.kill());
      const mongo = yield* connect(server.url, { timeout: "1 minute" });
      for (const call of [mongo.db, find(mongo), mongo.ping]) {
        const failure = yield* Effect.flip(Effect.asVoid(call));
        assert.equal(failure._tag, "TransientFailure");
        assert.match(failure.reason, /^not connected/);
        assert.equal(failure.cause, undefined);
      }
    }));

  it.live("layer connects by itself when the server is started later", () =>
    Effect.gen(function* () {
      const server = yield* MongoServer.scoped();
      yield* promise(() => server.kill());
      const mongo = yield* connect(server.url, { timeout: "400 millis" });
      // A first attempt has failed: the driver's client is broken from here on.
      yield* eventually(
        Effect.flip(mongo.db).pipe(
          Effect.tap((failure) => assert.match(failure.reason, /no server available/)),
        ),
      );
      yield* promise(() => server.restart());
      yield* eventually(find(mongo));
      yield* mongo.ping;
    }));

  it.live("run() works again by itself after the server was killed and restarted", () =>
    Effect.gen(function* () {
      const server = yield* MongoServer.scoped();
      const mongo = yield* connect(server.url);
      yield* eventually(find(mongo));
      yield* promise(() => server.kill());
      const failure = yield* Effect.flip(find(mongo));
      assert.equal(failure._tag, "TransientFailure");
      assert.equal((yield* Effect.flip(mongo.ping))._tag, "TransientFailure");
      yield* promise(() => server.restart());
      yield* eventually(find(mongo));
    }));

  it.live(
    "run() lets no rejection escape when the server is killed under load",
    () =>
      Effect.gen(function* () {
        const server = yield* MongoServer.scoped();
        const mongo = yield* connect(server.url, { maxPoolSize: 20 });
        yield* eventually(find(mongo));
        // The test runner fails on any unhandled rejection; here each call must end in a typed one.
        const large = { text: "x".repeat(200_000) };
        const insert = mongo.run(
          "mongodb_insert",
          (db) => db.collection("large").insertOne({ ...large }),
        ).pipe(Effect.asVoid);
        const load = yield* Effect.forkScoped(Effect.forEach(
          Array.from({ length: 200 }),
          (_, index) => Effect.exit(index % 2 === 0 ? Effect.asVoid(find(mongo)) : insert),
          { concurrency: 40 },
        ));
        yield* Effect.sleep("150 millis");
        yield* promise(() => server.kill());
        const exits = yield* Fiber.join(load);
        const failures = exits.filter(Exit.isFailure);
        assert.ok(failures.length > 0);
        for (const { cause } of failures) {
          assert.equal(cause._tag, "Fail");
          assert.equal(cause._tag === "Fail" && cause.error._tag, "TransientFailure");
        }
      }),
    { timeout: "30 seconds" },
  );

  it.live("run() aborts the driver's call when it is interrupted", () =>
    Effect.gen(function* () {
      const server = yield* MongoServer.scoped();
      const proxy = yield* TcpProxy.scoped({ port: server.port });
      const mongo = yield* connect(proxy.url(server.url), { timeout: "30 seconds" });
      yield* eventually(find(mongo));
      yield* promise(() => server.failPoint({ failCommands: ["find"], blockTimeMS: 3_000 }));
      let aborted = false;
      const call = yield* Effect.fork(mongo.run("mongodb_find", (db, signal) => {
        signal.addEventListener("abort", () => aborted = true);
        return db.collection("stores").findOne({}, { signal });
      }));
      const open = yield* eventually(Effect.sync(() => proxy.connections));
      yield* Effect.sleep("100 millis");
      yield* Fiber.interrupt(call);
      assert.ok(aborted);
      // Its connection is given up: the server would still answer on it.
      yield* eventually(Effect.sync(() => proxy.connections < open));
      yield* promise(() => server.clearFailPoint());
      yield* find(mongo);
    }));

  it.live("run() fails within its limits when the server is frozen, and recovers", () =>
    Effect.gen(function* () {
      const server = yield* MongoServer.scoped();
      const mongo = yield* connect(server.url, { timeout: "500 millis" });
      yield* eventually(find(mongo));
      server.pause();
      const failure = yield* eventually(Effect.flip(find(mongo)));
      assert.ok(failure._tag === "TransientFailure" && failure.timedOut);
      assert.equal((yield* Effect.flip(mongo.ping))._tag, "TransientFailure");
      server.resume();
      yield* eventually(find(mongo));
      yield* eventually(mongo.ping);
    }));

  it.live("ping succeeds while all connections are busy, and fails when the server hangs then", () =>
    Effect.gen(function* () {
      const server = yield* MongoServer.scoped();
      const mongo = yield* connect(server.url, { timeout: "3 seconds", maxPoolSize: 1 });
      yield* eventually(find(mongo));
      yield* promise(() => server.failPoint({ failCommands: ["find"], blockTimeMS: 2_500 }));
      const busy = yield* Effect.forkScoped(
        Effect.forever(Effect.exit(find(mongo))),
      );
      yield* Effect.sleep("100 millis");
      yield* mongo.ping;
      server.pause();
      yield* eventually(Effect.flip(mongo.ping), { within: "20 seconds" });
      yield* Fiber.interruptFork(busy);
      server.resume();
      yield* eventually(mongo.ping, { within: "20 seconds" });
    }));

  it.live("db fails with a permanent failure when the password is wrong", () =>
    Effect.gen(function* () {
      const server = yield* MongoServer.scoped({ auth: { username: "amicis", password: "right" } });
      const mongo = yield* connect(server.url.replace(":right@", ":secret@"));
      const failure = yield* eventually(
        Effect.flip(mongo.db).pipe(
          Effect.tap((failure) => assert.equal(failure._tag, "PermanentFailure")),
        ),
      );
      assert.equal(failure.reason, "not connected: AuthenticationFailed (18)");
      assert.ok(failure._tag === "PermanentFailure" && !failure.answered);
    }));

  it.live("onConnected() runs its task after the first connection and after each return", () =>
    Effect.gen(function* () {
      const server = yield* MongoServer.scoped();
      yield* promise(() => server.kill());
      const mongo = yield* connect(server.url, { timeout: "400 millis" });
      let runs = 0;
      yield* mongo.onConnected("count", Effect.sync(() => void runs++));
      assert.equal(runs, 0);
      yield* promise(() => server.restart());
      yield* eventually(Effect.sync(() => runs === 1));
      yield* promise(() => server.restart());
      yield* eventually(Effect.sync(() => runs === 2));
    }));

  it.live("onConnected() repeats a task that failed with a transient failure, no other", () =>
    Effect.gen(function* () {
      const server = yield* MongoServer.scoped();
      const mongo = yield* connect(server.url);
      yield* promise(() =>
        server.failPoint({
          failCommands: ["insert"],
          mode: { times: 2 },
          // Not one of the codes by which the driver takes the server for gone.
          errorCode: 16500,
          appName: "amicis",
        })
      );
      let attempts = 0;
      yield* mongo.onConnected(
        "insert",
        mongo.run("mongodb_insert", (db) => {
          attempts++;
          return db.collection<{ _id: number }>("once").insertOne({ _id: 1 });
        }).pipe(Effect.asVoid),
      );
      yield* eventually(Effect.sync(() => attempts === 3));
      yield* mongo.onConnected(
        "insert_again",
        mongo.run("mongodb_insert", (db) => {
          attempts++;
          return db.collection<{ _id: number }>("once").insertOne({ _id: 1 });
        }).pipe(Effect.asVoid),
      );
      yield* eventually(Effect.sync(() => attempts === 4));
      yield* Effect.sleep("400 millis");
      assert.equal(attempts, 4);
    }));

  it.live("layer closes within a bound when the server is frozen", () =>
    Effect.gen(function* () {
      const server = yield* MongoServer.scoped();
      const scope = yield* Scope.make();
      const mongo = yield* connect(server.url, { timeout: "30 seconds" }).pipe(
        Scope.extend(scope),
      );
      yield* eventually(find(mongo));
      server.pause();
      // Ends while the server is still frozen, or this test runs out of time.
      yield* Scope.close(scope, Exit.void);
      server.resume();
    }), { timeout: "25 seconds" });

  it.live("layer leaves no connection open when its scope closes", () =>
    Effect.gen(function* () {
      const server = yield* MongoServer.scoped();
      const proxy = yield* TcpProxy.scoped({ port: server.port });
      yield* Effect.scoped(Effect.gen(function* () {
        const mongo = yield* connect(proxy.url(server.url));
        yield* eventually(find(mongo));
        assert.ok(proxy.connections > 0);
      }));
      yield* eventually(Effect.sync(() => proxy.connections === 0));
    }));

  it.live("layer leaves no connection open when its scope closes before the first one stands", () =>
    Effect.gen(function* () {
      const server = yield* MongoServer.scoped();
      const proxy = yield* TcpProxy.scoped({ port: server.port });
      for (let pause = 0; pause < 20; pause += 2) {
        yield* Effect.scoped(
          Effect.zipRight(connect(proxy.url(server.url)), Effect.sleep(pause)),
        );
      }
      yield* eventually(Effect.sync(() => proxy.connections === 0));
    }));
});

describe("MongoConnection with TLS", needs("secantusdb"), () => {
  it.live("layer trusts the authority that its URI names", () =>
    Effect.gen(function* () {
      const server = yield* MongoServer.scoped({ tls: true });
      const mongo = yield* connect(server.url);
      yield* eventually(find(mongo));
    }));

  it.live("layer leaves nothing behind when its scope closes while it reads the authority", () =>
    Effect.gen(function* () {
      const server = yield* MongoServer.scoped({ tls: true });
      const proxy = yield* TcpProxy.scoped({ port: server.port });
      for (let round = 0; round < 10; round++) {
        yield* Effect.scoped(Effect.zipRight(connect(proxy.url(server.url)), Effect.yieldNow()));
      }
      // A client left behind would go on asking the server every half second.
      yield* Effect.sleep("700 millis");
      yield* eventually(Effect.sync(() => proxy.connections === 0));
    }));
});

describe("MongoConnection.layer", () => {
  for (
    const uri of [
      "http://user:secret@db.example.com",
      "db.example.com:27017",
      "mongodb://user:se cret@db.example.com:port/",
      "mongodb://user:p:a@s/s@db.example.com/",
      "",
    ]
  ) {
    it.live(`layer fails with InvalidMongoUri, and quotes nothing, for "${uri}"`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(connect(uri));
        assert.equal(error._tag, "InvalidMongoUri");
        assert.doesNotMatch(error.message, /secret|db\.example|user:/);
      }));
  }

  it.live("layer names an option that the driver does not know", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(connect("mongodb://127.0.0.1/?poolsize=3"));
      assert.match(error.message, /option poolsize is not supported/);
    }));
});
