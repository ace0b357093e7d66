/** Key sets from a real server: rotation, outages, storms, and algorithm confusion. */
import { strict as assert } from "node:assert";
import { Duration, Effect, Exit, TestClock } from "effect";
import { exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from "jose";
import * as Jwks from "../../src/http/Jwks.ts";
import { InvalidToken, TokenVerifier } from "../../src/http/TokenVerifier.ts";
import * as CircuitBreaker from "../../src/resilience/CircuitBreaker.ts";
import * as RecoveryProbe from "../../src/resilience/RecoveryProbe.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";
import { freePort, releasePort } from "../support/ports.ts";

/** An issuer whose key set can be taken down, slowed and changed. */
class Issuer {
  readonly port = freePort();
  readonly url = `http://127.0.0.1:${this.port}/jwks.json`;
  keys: Array<JWK> = [];
  /** In place of the key set. */
  answer: (() => Response | Promise<Response>) | undefined;
  requests = 0;
  #server: Deno.HttpServer | undefined;

  up() {
    const { port } = this;
    this.#server = Deno.serve({ hostname: "127.0.0.1", port, onListen: () => {} }, () => {
      this.requests++;
      return this.answer?.() ?? Response.json({ keys: this.keys });
    });
  }

  async down() {
    await this.#server?.shutdown();
    this.#server = undefined;
  }
}

interface Key {
  readonly sign: (header?: Record<string, unknown>, key?: Uint8Array) => Effect.Effect<string>;
  readonly jwk: JWK;
  readonly publicKey: CryptoKey;
}

const makeKey = (alg: string, kid: string | undefined, more: JWK = {}): Effect.Effect<Key> =>
  Effect.promise(async () => {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
    const jwk = { ...await exportJWK(publicKey), ...(kid === undefined ? {} : { kid }), ...more };
    const named = kid === undefined ? {} : { kid };
    return {
      jwk,
      publicKey,
      sign: (header = {}, key) =>
        Effect.promise(() =>
          new SignJWT({ sub: "ann", tenantId: "ikea", exp: 4_000_000_000 })
            .setProtectedHeader({ alg, ...named, ...header }).sign(key ?? privateKey)
        ),
    };
  });

const running = (options: Partial<Jwks.Options> = {}) =>
  Effect.gen(function* () {
    const issuer = new Issuer();
    issuer.up();
    yield* Effect.addFinalizer(() =>
      Effect.promise(async () => {
        await issuer.down();
        releasePort(issuer.port);
      })
    );
    const breaker = yield* CircuitBreaker.make("jwks", { openJitter: 0 });
    const jwks = yield* Jwks.make({ url: issuer.url, breaker, ...options });
    const { verify } = yield* Effect.provide(TokenVerifier, TokenVerifier.layerJwks({ jwks }));
    return { issuer, breaker, jwks, verify };
  });

describe("a key set", () => {
  for (const alg of ["RS256", "ES256", "EdDSA"]) {
    it.effect(`verifies ${alg}`, () =>
      Effect.gen(function* () {
        const { issuer, verify } = yield* running();
        const key = yield* makeKey(alg, "k1");
        issuer.keys = [key.jwk];
        const verified = yield* verify(yield* key.sign());
        assert.equal(verified.subject, "ann");
        assert.equal(verified.tenantId, "ikea");
      }));
  }

  it.effect("is fetched once for all who ask at the same time", () =>
    Effect.gen(function* () {
      const { issuer, verify } = yield* running();
      const key = yield* makeKey("ES256", "k1");
      issuer.keys = [key.jwk];
      const token = yield* key.sign();
      yield* Effect.all(Array.from({ length: 20 }, () => verify(token)), { concurrency: 20 });
      assert.equal(issuer.requests, 1);
    }));

  it.effect("is searched by trial for a token that names no key", () =>
    Effect.gen(function* () {
      const { issuer, verify } = yield* running();
      const keys = yield* Effect.all([1, 2, 3].map(() => makeKey("ES256", undefined)));
      issuer.keys = keys.map(({ jwk }) => jwk);
      for (const key of keys) assert.equal((yield* verify(yield* key.sign())).subject, "ann");
    }));

  it.effect("refuses what is not signed with one of its keys", () =>
    Effect.gen(function* () {
      const { issuer, verify } = yield* running();
      const key = yield* makeKey("RS256", "k1");
      const other = yield* makeKey("RS256", "k1");
      const curve = yield* makeKey("ES256", "k2");
      const encryption = yield* makeKey("RS256", "k3", { use: "enc" });
      issuer.keys = [key.jwk, curve.jwk, encryption.jwk];
      const asSecret = yield* Effect.promise(async () =>
        new TextEncoder().encode(await exportSPKI(key.publicKey))
      );
      const bad = {
        "another key of that name": yield* other.sign(),
        "public key as HS256 secret": yield* key.sign({ alg: "HS256" }, asSecret),
        "key of another type": yield* curve.sign({ kid: "k1" }),
        "key for encryption": yield* encryption.sign(),
        "algorithm of no listed kind": yield* (yield* makeKey("PS256", "k1")).sign(),
        "key of its own": yield* other.sign({ kid: "k9", jwk: other.jwk }),
      };
      for (const [name, token] of Object.entries(bad)) {
        const failure = yield* Effect.flip(verify(token));
        assert.ok(failure instanceof InvalidToken, name);
      }
    }));

  it.effect("is searched for no key by anything but its plain name", () =>
    Effect.gen(function* () {
      const { issuer, verify } = yield* running();
      const key = yield* makeKey("ES256", "k1");
      issuer.keys = [key.jwk];
      const names = [
        ...["", "K1", " k1", "k1 ", "k1\u0000", "../k1", "k1' OR '1'='1", "__proto__"],
        ...["constructor", "length", "0", "k".repeat(5_000), `${issuer.url}#k1`],
      ];
      for (const kid of names) {
        assert.ok(
          (yield* Effect.flip(verify(yield* key.sign({ kid })))) instanceof InvalidToken,
          kid,
        );
      }
      const stranger = yield* makeKey("ES256", "k1");
      for (const kid of [7, null, ["k1"], { k1: true }]) {
        for (const token of [yield* key.sign({ kid }), yield* stranger.sign({ kid })]) {
          assert.ok((yield* Effect.flip(verify(token))) instanceof InvalidToken);
        }
      }
      // Nothing that a token brings along, or says where to find, is ever looked at.
      let asked = 0;
      const elsewhere = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => {
        asked++;
        return Response.json({ keys: [stranger.jwk] });
      });
      yield* Effect.addFinalizer(() => Effect.promise(() => elsewhere.shutdown()));
      const url = `http://127.0.0.1:${elsewhere.addr.port}/keys`;
      for (const header of [{ jku: url }, { x5u: url }, { jwk: stranger.jwk }, { iss: url }]) {
        const forged = yield* stranger.sign(header);
        assert.ok((yield* Effect.flip(verify(forged))) instanceof InvalidToken);
      }
      assert.equal(asked, 0);
      assert.equal(issuer.requests, 1);
    }));

  it.effect("is fetched again for an unknown key, once per cooldown for all of them", () =>
    Effect.gen(function* () {
      const { issuer, verify } = yield* running({ cooldown: "30 seconds" });
      const first = yield* makeKey("ES256", "k1");
      const second = yield* makeKey("ES256", "k2");
      issuer.keys = [first.jwk];
      yield* verify(yield* first.sign());
      issuer.keys = [second.jwk];
      for (let i = 0; i < 50; i++) yield* Effect.flip(verify(yield* first.sign({ kid: `x${i}` })));
      assert.equal(issuer.requests, 1);
      yield* TestClock.adjust("30 seconds");
      const tokens = yield* Effect.all(
        Array.from({ length: 20 }, (_, i) => first.sign({ kid: `y${i}` })),
      );
      yield* Effect.all(tokens.map((token) => Effect.exit(verify(token))), { concurrency: 20 });
      assert.equal(issuer.requests, 2);
      assert.equal((yield* verify(yield* second.sign())).subject, "ann");
      const withdrawn = yield* Effect.flip(verify(yield* first.sign()));
      assert.ok(withdrawn instanceof InvalidToken);
      assert.equal(issuer.requests, 2);
    }));

  it.effect("is refreshed in the background when it is old", () =>
    Effect.gen(function* () {
      const { issuer, verify } = yield* running({ freshFor: "10 minutes" });
      const key = yield* makeKey("ES256", "k1");
      issuer.keys = [key.jwk];
      const token = yield* key.sign();
      yield* verify(token);
      yield* TestClock.adjust("599 seconds");
      yield* verify(token);
      assert.equal(issuer.requests, 1);
      yield* TestClock.adjust("1 second");
      yield* verify(token);
      yield* eventually(Effect.sync(() => issuer.requests === 2));
    }));
});

describe("an outage of the key set", () => {
  it.effect("is 503 without keys, until it is back", () =>
    Effect.gen(function* () {
      const { issuer, verify } = yield* running();
      const key = yield* makeKey("ES256", "k1");
      issuer.keys = [key.jwk];
      const token = yield* key.sign();
      yield* Effect.promise(() => issuer.down());
      const failure = yield* Effect.flip(verify(token));
      assert.ok(failure instanceof Jwks.KeysUnavailable);
      assert.equal(Duration.toSeconds(failure.retryAfter), 1);
      issuer.up();
      assert.equal((yield* verify(token)).subject, "ann");
    }));

  it.effect("opens the breaker, whose time is passed on", () =>
    Effect.gen(function* () {
      const { issuer, verify, breaker } = yield* running();
      const key = yield* makeKey("ES256", "k1");
      issuer.keys = [key.jwk];
      const token = yield* key.sign();
      issuer.answer = () => new Response("no", { status: 500 });
      for (let i = 0; i < 5; i++) yield* Effect.flip(verify(token));
      assert.equal(breaker.unsafeState(), "open");
      const failure = yield* Effect.flip(verify(token));
      assert.ok(failure instanceof Jwks.KeysUnavailable);
      assert.equal(Duration.toSeconds(failure.retryAfter), 30);
      assert.equal(issuer.requests, 5);
      issuer.answer = undefined;
      yield* TestClock.adjust("30 seconds");
      assert.equal((yield* verify(token)).subject, "ann");
    }));

  it.live("is over early when a probe has found a key set again", () =>
    Effect.gen(function* () {
      const { issuer, breaker, verify } = yield* running();
      const recovery = yield* RecoveryProbe.make({ interval: "20 millis" });
      yield* recovery.watch(breaker, Jwks.reach(issuer.url));
      const key = yield* makeKey("ES256", "one");
      const token = yield* key.sign();
      issuer.answer = () => new Response("down", { status: 503 });
      for (let call = 0; call < 5; call++) yield* Effect.exit(verify(token));
      assert.equal(breaker.unsafeState(), "open");
      // Failing probes among the requests: the breaker lets none of its own through.
      yield* eventually(Effect.sync(() => issuer.requests >= 8));
      assert.ok(Exit.isFailure(yield* Effect.exit(verify(token))));
      issuer.keys = [key.jwk];
      issuer.answer = undefined;
      yield* eventually(verify(token));
    }));

  it.effect("is not noticed by tokens of known keys, however old these are", () =>
    Effect.gen(function* () {
      const { issuer, verify } = yield* running();
      const key = yield* makeKey("ES256", "k1");
      issuer.keys = [key.jwk];
      const token = yield* key.sign();
      yield* verify(token);
      yield* Effect.promise(() => issuer.down());
      for (let hour = 0; hour < 5; hour++) {
        yield* TestClock.adjust("1 hour");
        assert.equal((yield* verify(token)).subject, "ann");
      }
    }));

  it.effect("leaves it open whether an unknown key is a new one", () =>
    Effect.gen(function* () {
      const { issuer, verify } = yield* running({ cooldown: "30 seconds" });
      const key = yield* makeKey("ES256", "k1");
      const next = yield* makeKey("ES256", "k2");
      issuer.keys = [key.jwk];
      yield* verify(yield* key.sign());
      yield* Effect.promise(() => issuer.down());
      issuer.keys = [next.jwk];
      yield* TestClock.adjust("30 seconds");
      const token = yield* next.sign();
      assert.ok((yield* Effect.flip(verify(token))) instanceof Jwks.KeysUnavailable);
      yield* TestClock.adjust("10 seconds");
      const failure = yield* Effect.flip(verify(token));
      assert.ok(failure instanceof Jwks.KeysUnavailable);
      assert.equal(Duration.toSeconds(failure.retryAfter), 20);
      issuer.up();
      yield* TestClock.adjust("20 seconds");
      assert.equal((yield* verify(token)).subject, "ann");
    }));

  it.effect("is also an answer that is no usable key set", () =>
    Effect.gen(function* () {
      const { issuer, verify } = yield* running();
      const token = yield* (yield* makeKey("ES256", "k1")).sign();
      const unusable: ReadonlyArray<() => Response> = [
        () => new Response("<html>"),
        () => Response.json({}),
        () => Response.json({ keys: [] }),
        () => Response.json({ keys: "none" }),
      ];
      for (const answer of unusable) {
        issuer.answer = answer;
        const failure = yield* Effect.flip(verify(token));
        assert.ok(failure instanceof Jwks.KeysUnavailable);
      }
    }));

  it.effect("is also a redirect, which is not followed, and an answer without end", () =>
    Effect.gen(function* () {
      const { issuer, verify } = yield* running();
      const key = yield* makeKey("ES256", "k1");
      const token = yield* key.sign();
      // Even to where good keys are.
      issuer.keys = [key.jwk];
      issuer.answer = () => {
        issuer.answer = undefined;
        return Response.redirect(issuer.url, 302);
      };
      assert.ok((yield* Effect.flip(verify(token))) instanceof Jwks.KeysUnavailable);
      assert.equal(issuer.requests, 1);
      const sized = (size: number) => () =>
        new Response(JSON.stringify({ keys: [key.jwk] }).padEnd(size));
      issuer.answer = sized(262_145);
      assert.ok((yield* Effect.flip(verify(token))) instanceof Jwks.KeysUnavailable);
      let cancelled = false;
      issuer.answer = () =>
        new Response(
          new ReadableStream({
            pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
            cancel: () => {
              cancelled = true;
            },
          }),
        );
      assert.ok((yield* Effect.flip(verify(token))) instanceof Jwks.KeysUnavailable);
      yield* eventually(Effect.sync(() => cancelled));
      issuer.answer = sized(262_144);
      assert.equal((yield* verify(token)).subject, "ann");
    }));

  it.live("is also no answer in time", () =>
    Effect.gen(function* () {
      const { issuer, verify, breaker } = yield* running({ timeout: "50 millis" });
      const token = yield* (yield* makeKey("ES256", "k1")).sign();
      let answer = (_: Response) => {};
      issuer.answer = () => new Promise((resolve) => (answer = resolve));
      const exit = yield* Effect.exit(verify(token));
      assert.ok(Exit.isFailure(exit));
      assert.equal((yield* breaker.totals).timeouts, 1);
      answer(new Response());
    }));
});
