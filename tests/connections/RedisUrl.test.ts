import { Either } from "effect";
import assert from "node:assert/strict";
import { parseRedisUrl } from "../../src/connections/RedisUrl.ts";
import { describe, it } from "../support/it.ts";

describe("parseRedisUrl()", () => {
  const accepted = {
    "redis://cache": { host: "cache", port: 6379, db: 0 },
    "redis://cache:6380/": { host: "cache", port: 6380, db: 0 },
    "redis://cache/7": { host: "cache", port: 6379, db: 7 },
    "redis://:p%40ss@cache": { host: "cache", port: 6379, db: 0, password: "p@ss" },
    "redis://user:a%2Fb@cache:1/2": {
      host: "cache",
      port: 1,
      db: 2,
      username: "user",
      password: "a/b",
    },
    "redis://[::1]:6380": { host: "::1", port: 6380, db: 0 },
    "rediss://cache.example.com:6380": {
      host: "cache.example.com",
      port: 6380,
      db: 0,
      tls: { servername: "cache.example.com" },
    },
    "rediss://127.0.0.1": { host: "127.0.0.1", port: 6379, db: 0, tls: {} },
    "rediss://[fe80::1]": { host: "fe80::1", port: 6379, db: 0, tls: {} },
  };
  for (const [url, expected] of Object.entries(accepted)) {
    it(`parseRedisUrl() reads "${url}"`, () => {
      assert.deepEqual(Either.getOrThrow(parseRedisUrl(url)), expected);
    });
  }

  const refused = {
    "cache:6379": /expected redis/,
    "http://user:secret@cache": /expected redis/,
    "cache,password=secret,ssl=True": /expected redis/,
    "": /expected redis/,
    "redis://user:secret@cache/secret": /database number/,
    "redis://user:secret@cache/1/2": /database number/,
    "redis://user:secret@cache/-1": /database number/,
    "redis://user:secret@cache?db=2": /after \?/,
    "redis://user:%zz@cache": /percent/,
    "redis:///0": /host is missing/,
  };
  for (const [url, problem] of Object.entries(refused)) {
    it(`parseRedisUrl() refuses "${url}" and quotes nothing of it`, () => {
      const error = Either.getOrThrow(Either.flip(parseRedisUrl(url)));
      assert.match(error.message, problem);
      assert.doesNotMatch(error.message, /secret|cache/);
    });
  }
});
