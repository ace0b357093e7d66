/**
 * fromMongo() over errors that a real driver had from a real server; the few that the server cannot
 * be made to give are built by hand at the end.
 */
import { Duration } from "effect";
import { MongoClient, type MongoClientOptions, MongoServerError } from "mongodb";
import assert from "node:assert/strict";
import { fromMongo } from "../../src/connections/MongoFailure.ts";
import {
  type DependencyFailure,
  PermanentFailure,
  TransientFailure,
} from "../../src/resilience/DependencyFailure.ts";
import { afterAll, beforeAll, describe, it } from "../support/it.ts";
import { type FailPoint, MongoServer } from "../support/servers/MongoServer.ts";
import { TcpProxy } from "../support/servers/TcpProxy.ts";
import { needs } from "../support/Tools.ts";

const appName = "failing";

/** Limits short enough for tests, in the proportions of the connection's. */
const limits: MongoClientOptions = {
  appName,
  serverSelectionTimeoutMS: 400,
  connectTimeoutMS: 600,
  socketTimeoutMS: 600,
  waitQueueTimeoutMS: 400,
  retryReads: false,
};

/** What the call's rejection is classified as; the client is closed afterwards. */
const failureOf = async (
  url: string,
  call: (client: MongoClient) => Promise<unknown>,
  options: MongoClientOptions = {},
): Promise<DependencyFailure> => {
  const client = new MongoClient(url, { ...limits, ...options });
  try {
    await call(client);
  } catch (error) {
    return fromMongo("mongodb_find", error);
  } finally {
    await client.close();
  }
  throw new Error("The call did not fail");
};

const find = (client: MongoClient) => client.db("test").collection("stores").findOne({});

const assertTransient = (failure: DependencyFailure, expected: { timedOut: boolean }) => {
  assert.ok(failure instanceof TransientFailure, `${failure.reason} is not transient`);
  assert.equal(failure.dependency, "mongodb");
  assert.equal(failure.operation, "mongodb_find");
  assert.equal(failure.timedOut, expected.timedOut, failure.reason);
  assertSafe(failure);
};

const assertPermanent = (failure: DependencyFailure, expected: { answered: boolean }) => {
  assert.ok(failure instanceof PermanentFailure, `${failure.reason} is not permanent`);
  assert.equal(failure.answered, expected.answered, failure.reason);
  assertSafe(failure);
};

/** No host, port, path, password or quoted value. */
const assertSafe = ({ reason }: DependencyFailure) =>
  assert.doesNotMatch(reason, /127\.0|localhost|invalid\b|:\d|secret|@|\//, reason);

describe("fromMongo() with a running server", needs("secantusdb"), () => {
  let server: MongoServer;
  beforeAll(async () => {
    server = await MongoServer.start();
  });
  afterAll(() => server.stop());

  const failing = async (point: Omit<FailPoint, "failCommands" | "appName">) => {
    await server.failPoint({ failCommands: ["find"], appName, ...point });
    try {
      return await failureOf(server.url, find);
    } finally {
      await server.clearFailPoint();
    }
  };

  const transient: ReadonlyArray<readonly [code: number, timedOut: boolean]> = [
    [6, false],
    [7, false],
    [50, true],
    [89, true],
    [91, false],
    [134, false],
    [189, false],
    [262, true],
    [9001, false],
    [10107, false],
    [11600, false],
    [11602, false],
    [13435, false],
    [13436, false],
    [16500, false],
  ];
  for (const [code, timedOut] of transient) {
    it(`fromMongo() gives a transient failure when the server answers ${code}`, async () => {
      const failure = await failing({ errorCode: code });
      assertTransient(failure, { timedOut });
      assert.match(failure.reason, new RegExp(`\\(${code}\\)`));
    });
  }

  // BadValue, NamespaceNotFound, CommandNotFound, InternalError.
  for (const code of [2, 26, 59, 1]) {
    it(`fromMongo() gives an answered permanent failure when the server answers ${code}`, async () => {
      assertPermanent(await failing({ errorCode: code }), { answered: true });
    });
  }

  // Unauthorized, AuthenticationFailed, UserNotFound.
  for (const code of [13, 18, 11]) {
    it(`fromMongo() gives an unanswered permanent failure when the server answers ${code}`, async () => {
      assertPermanent(await failing({ errorCode: code }), { answered: false });
    });
  }

  for (
    const label of [
      "RetryableWriteError",
      "TransientTransactionError",
      "PoolRequestedRetry",
      "SystemOverloadedError",
    ]
  ) {
    it(`fromMongo() gives a transient failure when an unknown code carries ${label}`, async () => {
      const failure = await failing({ errorCode: 2, errorLabels: [label] });
      assertTransient(failure, { timedOut: false });
      assert.match(failure.reason, new RegExp(label));
    });
  }

  it("fromMongo() keeps refused credentials permanent when they carry a retry label", async () => {
    const failure = await failing({ errorCode: 13, errorLabels: ["RetryableWriteError"] });
    assertPermanent(failure, { answered: false });
  });

  it("fromMongo() gives a transient failure when the server closes the connection", async () => {
    assertTransient(await failing({ closeConnection: true }), { timedOut: false });
  });

  it("fromMongo() gives a timed-out failure when the server holds the answer", async () => {
    assertTransient(await failing({ blockTimeMS: 1_500 }), { timedOut: true });
  });

  it("fromMongo() gives an answered permanent failure for a duplicate key", async () => {
    const failure = await failureOf(server.url, async (client) => {
      const stores = client.db("test").collection<{ _id: string }>("duplicates");
      await stores.insertOne({ _id: "secret" });
      await stores.insertOne({ _id: "secret" });
    });
    assertPermanent(failure, { answered: true });
    assert.equal(failure.reason, "DuplicateKey (11000)");
  });

  it("fromMongo() gives an answered permanent failure for a filter that the server refuses", async () => {
    const failure = await failureOf(
      server.url,
      (client) => client.db("test").collection("stores").findOne({ $secret: 1 }),
    );
    assertPermanent(failure, { answered: true });
  });

  it("fromMongo() gives a timed-out failure when no connection becomes free", async () => {
    await server.failPoint({ failCommands: ["find"], appName, blockTimeMS: 550 });
    try {
      const failure = await failureOf(server.url, async (client) => {
        const held = find(client).catch(() => {});
        await Promise.all([find(client), find(client)]).finally(() => held);
      }, { maxPoolSize: 1, waitQueueTimeoutMS: 100 });
      assertTransient(failure, { timedOut: true });
      assert.equal(failure.reason, "no free connection in time");
    } finally {
      await server.clearFailPoint();
    }
  });

  it("fromMongo() gives a transient failure when a connection is reset", async () => {
    const proxy = await TcpProxy.start({ port: server.port });
    try {
      const failure = await failureOf(proxy.url(server.url), async (client) => {
        await find(client);
        await proxy.mode("reset");
        await find(client);
      });
      assertTransient(failure, { timedOut: false });
    } finally {
      await proxy.stop();
    }
  });

  it("fromMongo() gives a transient failure when an answer is cut off", async () => {
    const proxy = await TcpProxy.start({ port: server.port });
    await server.insert("test", "long", [{ text: "x".repeat(100_000) }]);
    try {
      const failure = await failureOf(proxy.url(server.url), async (client) => {
        await find(client);
        await proxy.mode({ cutAfter: 20_000 });
        await client.db("test").collection("long").findOne({});
      });
      assertTransient(failure, { timedOut: false });
    } finally {
      await proxy.stop();
    }
  });

  it("fromMongo() gives a timed-out failure when the network goes silent", async () => {
    const proxy = await TcpProxy.start({ port: server.port });
    try {
      const failure = await failureOf(proxy.url(server.url), async (client) => {
        await find(client);
        await proxy.mode("silent");
        await find(client);
      });
      assertTransient(failure, { timedOut: true });
    } finally {
      await proxy.stop();
    }
  });

  it("fromMongo() gives a timed-out failure when nothing listens", async () => {
    const proxy = await TcpProxy.start({ port: server.port });
    try {
      await proxy.mode("refuse");
      const failure = await failureOf(proxy.url(server.url), find);
      assertTransient(failure, { timedOut: true });
      assert.equal(failure.reason, "no server available in time (ECONNREFUSED)");
    } finally {
      await proxy.stop();
    }
  });

  it("fromMongo() gives a transient failure when the host's name is not known", async () => {
    const url = server.url.replace("127.0.0.1", "nonexistent.invalid");
    const failure = await failureOf(url, find);
    assertTransient(failure, { timedOut: true });
    assert.match(failure.reason, /\((ENOTFOUND|EAI_AGAIN)\)/);
  });

  it("fromMongo() gives a transient failure when the server speaks no TLS", async () => {
    assertTransient(await failureOf(`${server.url}&tls=true`, find), { timedOut: true });
  });
});

describe("fromMongo() with a server that fails", needs("secantusdb"), () => {
  it("fromMongo() gives a transient failure when the server is killed during a call", async () => {
    const server = await MongoServer.start();
    try {
      await server.failPoint({ failCommands: ["find"], appName, blockTimeMS: 5_000 });
      const failure = await failureOf(server.url, async (client) => {
        await client.connect();
        const calls = Array.from({ length: 20 }, () => find(client));
        const settled = Promise.allSettled(calls);
        await server.kill();
        const failures = (await settled).flatMap((result) =>
          result.status === "rejected" ? [fromMongo("mongodb_find", result.reason)] : []
        );
        assert.equal(failures.length, calls.length);
        for (const failure of failures) assert.ok(failure instanceof TransientFailure);
        await calls[0];
      });
      assertTransient(failure, { timedOut: false });
    } finally {
      await server.stop();
    }
  });

  it("fromMongo() gives a timed-out failure when the server is frozen", async () => {
    const server = await MongoServer.start();
    try {
      const failure = await failureOf(server.url, async (client) => {
        await find(client);
        server.pause();
        try {
          // A busy server may still answer one before the signal reaches it.
          for (;;) await find(client);
        } finally {
          server.resume();
        }
      });
      assertTransient(failure, { timedOut: true });
    } finally {
      await server.stop();
    }
  });

  it("fromMongo() gives a transient failure when the certificate's issuer is unknown", async () => {
    const server = await MongoServer.start({ tls: true });
    try {
      const url = server.url.replace(/&tlsCAFile=[^&]*/, "");
      const failure = await failureOf(url, find);
      assertTransient(failure, { timedOut: true });
      assert.match(failure.reason, /certificate not trusted/);
    } finally {
      await server.stop();
    }
  });
});

describe("fromMongo() with a server that asks for credentials", needs("secantusdb"), () => {
  let server: MongoServer;
  beforeAll(async () => {
    server = await MongoServer.start({ auth: { username: "amicis", password: "secret" } });
  });
  afterAll(() => server.stop());

  it("fromMongo() gives an unanswered permanent failure when the password is wrong", async () => {
    const failure = await failureOf(server.url.replace(":secret@", ":wrong@"), find);
    assertPermanent(failure, { answered: false });
    assert.equal(failure.reason, "AuthenticationFailed (18)");
  });

  it("fromMongo() gives an unanswered permanent failure when there are no credentials", async () => {
    const failure = await failureOf(server.url.replace("amicis:secret@", ""), find);
    assertPermanent(failure, { answered: false });
    assert.equal(failure.reason, "Unauthorized (13)");
  });
});

describe("fromMongo()", () => {
  it("fromMongo() reads how long to stay away when Cosmos DB says so", () => {
    const error = new MongoServerError({
      code: 16500,
      message: "Error=16500, RetryAfterMs=34, Details='Response status code 429 …'",
    });
    const failure = fromMongo("mongodb_find", error);
    assertTransient(failure, { timedOut: false });
    assert.ok(failure instanceof TransientFailure && failure.retryAfter !== undefined);
    assert.equal(Duration.toMillis(failure.retryAfter), 34);
  });

  it("fromMongo() leaves retryAfter out when 16500 does not say how long", () => {
    const failure = fromMongo("mongodb_find", new MongoServerError({ code: 16500, message: "" }));
    assert.ok(!("retryAfter" in failure));
  });

  it("fromMongo() gives a transient failure for the plain errors of Deno's sockets", () => {
    const ended = new Error("This socket has been ended by the other party");
    for (const error of [ended, Object.assign(new Error("write"), { code: "EPIPE" })]) {
      assertTransient(fromMongo("mongodb_find", error), { timedOut: false });
    }
  });

  it("fromMongo() gives an unanswered permanent failure for errors that no server gave", () => {
    for (const error of [new TypeError("secret"), "secret", undefined, { code: 6 }]) {
      assertPermanent(fromMongo("mongodb_find", error), { answered: false });
    }
  });

  it("fromMongo() never quotes a server's message", () => {
    const error = new MongoServerError({
      code: 2,
      codeName: "Bad secret/value",
      message: "secret",
    });
    assertSafe(fromMongo("mongodb_find", error));
  });
});
