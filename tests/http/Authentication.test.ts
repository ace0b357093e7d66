/** Tokens signed by jose against a real port: what counts, and every way to cheat that we know. */
import { strict as assert } from "node:assert";
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "@effect/platform";
import { Duration, Effect, Layer, Redacted, Schema, TestClock } from "effect";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import * as ApiServer from "../../src/http/ApiServer.ts";
import * as Authentication from "../../src/http/Authentication.ts";
import { KeysUnavailable } from "../../src/http/Jwks.ts";
import { Lifecycle } from "../../src/http/Lifecycle.ts";
import { RequestContext } from "../../src/http/RequestContext.ts";
import { type Options, TokenVerifier, WeakSecret } from "../../src/http/TokenVerifier.ts";
import { describe, it } from "../support/it.ts";
import { ask } from "./support/RawHttp.ts";
import { get, problemOf } from "./support/Shop.ts";

const Api = HttpApi.make("private").add(
  HttpApiGroup.make("me")
    .add(HttpApiEndpoint.get("whoami", "/me").addSuccess(Schema.Unknown))
    .middleware(Authentication.Authentication),
);

const implementation = ApiServer.handlers(Api, {
  me: { whoami: ({ context }) => Effect.succeed(context.principal) },
});

const secretText = "a secret of thirty-two bytes or so";
const secret = new TextEncoder().encode(secretText);

const verifierOf = (options: Options = {}) =>
  TokenVerifier.layerSecret({ ...options, secret: Redacted.make(secretText) });

const open = (verifier: Layer.Layer<TokenVerifier, WeakSecret> = verifierOf()) =>
  Effect.gen(function* () {
    const gate = yield* Authentication.gate();
    const { port } = yield* ApiServer.serve({
      service: "routing",
      hostname: "127.0.0.1",
      port: 0,
      apis: [{ implementation, kind: "service" }],
      gates: [gate],
    });
    return {
      port,
      as: (authorization: string | undefined) =>
        get(
          `http://127.0.0.1:${port}/me`,
          authorization === undefined ? {} : { headers: { authorization } },
        ),
    };
  }).pipe(Effect.provide(Layer.merge(verifier, Lifecycle.layer)));

const claims = { sub: "ann", tenantId: "ikea" };

interface Signing {
  readonly alg?: string;
  readonly key?: Uint8Array | CryptoKey;
  readonly header?: Record<string, unknown>;
  /** Seconds from now; `null` for none. */
  readonly expiresIn?: number | null;
}

const sign = (payload: JWTPayload = claims, options: Signing = {}) =>
  Effect.promise(() => {
    const { alg = "HS256", key = secret, header = {}, expiresIn = 60 } = options;
    const token = new SignJWT(payload).setProtectedHeader({ alg, ...header });
    if (expiresIn !== null && payload.exp === undefined) {
      token.setExpirationTime(Math.floor(Date.now() / 1000) + expiresIn);
    }
    return token.sign(key);
  });

const base64 = (value: unknown) =>
  btoa(JSON.stringify(value)).replaceAll("=", "").replaceAll("+", "-").replaceAll("/", "_");

describe("a request", () => {
  it.live("with a valid token is answered for its principal, again and again", () =>
    Effect.gen(function* () {
      const { as } = yield* open();
      const token = yield* sign();
      for (const scheme of ["Bearer", "Bearer", "bearer", "BEARER "]) {
        const answer = yield* as(`${scheme} ${token}`);
        assert.equal(answer.status, 200, scheme);
        assert.deepEqual(JSON.parse(answer.text), { subject: "ann", tenantId: "ikea" });
      }
    }));

  it.live("without a token is 401 with the bare challenge", () =>
    Effect.gen(function* () {
      const { as } = yield* open();
      for (const header of [undefined, "", "Basic YTpi", "Bearertoken"]) {
        const answer = yield* as(header);
        assert.equal(answer.status, 401, String(header));
        assert.equal(answer.headers.get("www-authenticate"), 'Bearer realm="amicis"');
        assert.equal(problemOf(answer).error, "Authentication required");
      }
    }));

  it.live("with malformed credentials is 401 invalid_token", () =>
    Effect.gen(function* () {
      const { as, port } = yield* open();
      const token = yield* sign();
      for (
        const header of [
          "Bearer",
          "Bearer ",
          "Bearer a b",
          "Bearer not-a-token",
          "Bearer a.b.c",
          `Bearer ${token}.${token}`,
          `Bearer ${token} ${token}`,
          `Bearer "${token}"`,
          `Bearer ${"a".repeat(9000)}`,
        ]
      ) {
        const answer = yield* as(header);
        assert.equal(answer.status, 401, header.slice(0, 40));
        assert.match(
          answer.headers.get("www-authenticate") ?? "",
          /^Bearer realm="amicis", error="invalid_token", error_description="[ -~]+"$/,
          header.slice(0, 40),
        );
      }
      const line = `Authorization: Bearer ${token}`;
      const twice = yield* Effect.promise(() => ask(port, ["GET /me HTTP/1.1", line, line]));
      assert.equal(twice.status, 401);
    }));

  it.live("without a token to an unknown path is 404", () =>
    Effect.gen(function* () {
      const { port } = yield* open();
      assert.equal((yield* get(`http://127.0.0.1:${port}/you`)).status, 404);
      assert.equal((yield* get(`http://127.0.0.1:${port}/me`, { method: "POST" })).status, 405);
    }));

  it.live("of a tenant that cannot exist is 403", () =>
    Effect.gen(function* () {
      const { as } = yield* open();
      for (const tenantId of ["a:b", "a b", "ä", "a".repeat(65), "../x", "a\n"]) {
        const answer = yield* as(`Bearer ${yield* sign({ sub: "ann", tenantId })}`);
        assert.equal(answer.status, 403, tenantId);
        assert.equal(problemOf(answer).error, "Tenant is not valid");
      }
      const longest = "a".repeat(64);
      const answer = yield* as(`Bearer ${yield* sign({ sub: "ann", tenantId: longest })}`);
      assert.equal(answer.status, 200);
    }));
});

describe("a key set that cannot be had", () => {
  it.live("is a 503 with its time, and not remembered", () =>
    Effect.gen(function* () {
      let down = true;
      const expiresAt = Date.now() + 60_000;
      const verify = () =>
        down
          ? new KeysUnavailable({ retryAfter: Duration.seconds(7), cause: undefined })
          : Effect.succeed({ subject: "ann", tenantId: "ikea", expiresAt });
      const { as } = yield* open(Layer.succeed(TokenVerifier, { verify }));
      const answer = yield* as("Bearer a.b.c");
      assert.equal(answer.status, 503);
      assert.equal(answer.headers.get("retry-after"), "7");
      assert.equal(problemOf(answer).error, "Service temporarily unavailable");
      down = false;
      assert.equal((yield* as("Bearer a.b.c")).status, 200);
    }));
});

describe("a token is refused", () => {
  const refused = (
    name: string,
    token: Effect.Effect<string>,
    description: RegExp,
    verifier = verifierOf(),
  ) =>
    it.live(name, () =>
      Effect.gen(function* () {
        const { as } = yield* open(verifier);
        const answer = yield* as(`Bearer ${yield* token}`);
        assert.equal(answer.status, 401);
        assert.match(answer.headers.get("www-authenticate") ?? "", description);
        assert.match(problemOf(answer).detail, description);
        assert.equal(problemOf(answer).error, "Token is invalid");
      }));

  const hour = 3600;
  const soon = () => Math.floor(Date.now() / 1000) + hour;

  refused("when expired", sign(claims, { expiresIn: -6 }), /The token has expired/);
  refused("when not valid yet", sign({ ...claims, nbf: soon() }), /The token is not valid yet/);
  refused("without exp", sign(claims, { expiresIn: null }), /The token has no claim exp/);
  refused(
    "with an exp that is no number",
    Effect.promise(async () => {
      const data = `${base64({ alg: "HS256" })}.${base64({ ...claims, exp: "2099" })}`;
      const key = await crypto.subtle.importKey(
        "raw",
        secret,
        { name: "HMAC", hash: "SHA-256" },
        false,
        ["sign"],
      );
      const mac = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(data));
      return `${data}.${
        new Uint8Array(mac).toBase64({ alphabet: "base64url", omitPadding: true })
      }`;
    }),
    /The claim exp of the token is invalid/,
  );
  refused("without sub", sign({ tenantId: "ikea" }), /The token has no claim sub/);
  refused("with an empty sub", sign({ sub: "", tenantId: "ikea" }), /The claim sub/);
  refused("without tenantId", sign({ sub: "ann" }), /The token has no claim tenantId/);
  refused("with a tenantId that is no text", sign({ ...claims, tenantId: 7 }), /claim tenantId/);
  refused("with a list for tenantId", sign({ ...claims, tenantId: ["ikea"] }), /claim tenantId/);
  refused(
    "of another issuer",
    sign({ ...claims, iss: "them" }),
    /The claim iss/,
    verifierOf({ issuer: "us" }),
  );
  refused("without an issuer", sign(claims), /no claim iss/, verifierOf({ issuer: "us" }));
  refused(
    "for another audience",
    sign({ ...claims, aud: ["them"] }),
    /The claim aud/,
    verifierOf({ audience: "us" }),
  );
  refused(
    "with another secret",
    sign(claims, { key: new TextEncoder().encode("another secret of enough bytes..") }),
    /The signature of the token is invalid/,
  );
  refused("with another algorithm", sign(claims, { alg: "HS512" }), /algorithm .* not accepted/);
  refused(
    "with changed claims",
    Effect.map(sign(), (token) => {
      const [header, , signature] = token.split(".");
      const exp = soon();
      return `${header}.${base64({ ...claims, tenantId: "hm", exp })}.${signature}`;
    }),
    /The signature of the token is invalid/,
  );
  refused(
    "with its signature cut off",
    Effect.map(sign(), (token) => token.slice(0, token.lastIndexOf(".") + 1)),
    /signature of the token is invalid|malformed/,
  );
  refused(
    "unsigned",
    Effect.sync(() => new UnsecuredJWT(claims).setExpirationTime("1h").encode()),
    /algorithm .* not accepted/,
  );
  for (const alg of ["none", "None", "NONE", "nOnE"]) {
    refused(
      `with algorithm ${alg}`,
      Effect.sync(() => `${base64({ alg })}.${base64({ ...claims, exp: soon() })}.`),
      /algorithm .* not accepted/,
    );
  }
  refused(
    "with a critical extension",
    Effect.promise(() =>
      new SignJWT(claims).setProtectedHeader({ alg: "HS256", crit: ["x"], x: 1 })
        .setExpirationTime("1h").sign(secret, { crit: { x: true } })
    ),
    /malformed/,
  );
  refused(
    "signed with a key that it brings along",
    Effect.promise(async () => {
      const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
      return await new SignJWT(claims)
        .setProtectedHeader({ alg: "ES256", jwk: await exportJWK(publicKey) })
        .setExpirationTime("1h").sign(privateKey);
    }),
    /algorithm .* not accepted/,
  );
  refused(
    "that is encrypted",
    Effect.succeed([base64({ alg: "dir", enc: "A256GCM" }), "", "AAAA", "AAAA", "AAAA"].join(".")),
    /malformed|not accepted/,
  );

  /** Signed with the right key, whatever the two parts say. */
  const signText = (header: string, payload: string) =>
    Effect.promise(async () => {
      const data = [header, payload].map((text) =>
        new TextEncoder().encode(text).toBase64({ alphabet: "base64url", omitPadding: true })
      ).join(".");
      const hmac = { name: "HMAC", hash: "SHA-256" };
      const key = await crypto.subtle.importKey("raw", secret, hmac, false, ["sign"]);
      const mac = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(data));
      const signature = new Uint8Array(mac);
      return `${data}.${signature.toBase64({ alphabet: "base64url", omitPadding: true })}`;
    });

  it.live("when its header is none that we know, though its signature is right", () =>
    Effect.gen(function* () {
      const { as } = yield* open();
      const payload = JSON.stringify({ ...claims, exp: soon() });
      const headers = [
        ...["", "{", "[]", "null", "7", '"HS256"', "{}", "\u0000"],
        ...['{"alg":null}', '{"alg":["HS256"]}', '{"alg":{"toString":"HS256"}}', '{"alg":""}'],
        ...['{"alg":"hs256"}', '{"alg":"HS256 "}', '{"alg":"HS256\\u0000"}', '{"alg":"__proto__"}'],
        ...[
          '{"alg":"HS256","alg":"none"}',
          '{"alg":"HS384"}',
          '{"alg":"RS256"}',
          '{"alg":"ES256"}',
        ],
        ...['{"alg":"HS256","b64":false,"crit":["b64"]}', '{"alg":"HS256","crit":[]}'],
        ...['{"alg":"HS256","crit":"exp"}', '{"alg":"HS256","crit":["exp"],"exp":1}'],
      ];
      for (const header of headers) {
        const answer = yield* as(`Bearer ${yield* signText(header, payload)}`);
        assert.equal(answer.status, 401, header);
        assert.match(answer.headers.get("www-authenticate") ?? "", /error="invalid_token"/, header);
      }
    }));

  it.live("when its claims are none that we know, though its signature is right", () =>
    Effect.gen(function* () {
      const { as } = yield* open();
      const exp = soon();
      const good = `"sub":"ann","tenantId":"ikea"`;
      const payloads = [
        ...["", "{", "[]", "null", "7", `"${good}"`, "{}", `[{${good},"exp":${exp}}]`],
        ...[`{${good}}`, `{${good},"exp":null}`, `{${good},"exp":"${exp}"}`, `{${good},"exp":{}}`],
        ...[`{${good},"exp":true}`, `{${good},"exp":[${exp}]}`, `{${good},"exp":0}`],
        ...[`{${good},"exp":-1}`, `{${good},"exp":${exp},"nbf":"0"}`, `{${good},"exp":1e-9}`],
        ...[
          `{"sub":null,"tenantId":"ikea","exp":${exp}}`,
          `{"sub":{},"tenantId":"ikea","exp":${exp}}`,
        ],
        ...[
          `{"sub":"ann","tenantId":null,"exp":${exp}}`,
          `{"sub":"ann","tenantId":{},"exp":${exp}}`,
        ],
        ...[`{"sub":"ann","tenantid":"ikea","exp":${exp}}`, `{"sub":"ann","exp":${exp}}`],
        `{"sub":"ann","__proto__":{"tenantId":"ikea"},"exp":${exp}}`,
      ];
      for (const payload of payloads) {
        const answer = yield* as(`Bearer ${yield* signText('{"alg":"HS256"}', payload)}`);
        assert.equal(answer.status, 401, payload);
      }
      const token = yield* signText('{"alg":"HS256"}', `{${good},"exp":${exp}}`);
      assert.equal((yield* as(`Bearer ${token}`)).status, 200, "what is left is good");
    }));

  it.live("not when it expired within the tolerance", () =>
    Effect.gen(function* () {
      const { as } = yield* open(verifierOf({ clockTolerance: "30 seconds" }));
      assert.equal((yield* as(`Bearer ${yield* sign(claims, { expiresIn: -10 })}`)).status, 200);
    }));

  it.live("not when issuer and audience are the wanted ones", () =>
    Effect.gen(function* () {
      const { as } = yield* open(verifierOf({ issuer: "us", audience: "shop" }));
      const token = yield* sign({ ...claims, iss: "us", aud: ["x", "shop"] });
      assert.equal((yield* as(`Bearer ${token}`)).status, 200);
    }));
});

describe("layerSecret()", () => {
  it.effect("fails of a secret below 32 bytes", () =>
    Effect.gen(function* () {
      const layer = TokenVerifier.layerSecret({ secret: Redacted.make("x".repeat(31)) });
      const failure = yield* Effect.flip(Layer.build(layer));
      assert.ok(failure instanceof WeakSecret);
      assert.equal(failure.message, "Secret must have at least 32 bytes, not 31");
    }));
});

describe("gate()", () => {
  /** Enters the gate with a token that another verifier call would be counted for. */
  const counting = (expiresAt: number) =>
    Effect.gen(function* () {
      const calls: Array<string> = [];
      const verify = (token: string) => {
        calls.push(token);
        return Effect.succeed({ ...claims, subject: "ann", expiresAt });
      };
      const gate = yield* Effect.provideService(Authentication.gate(), TokenVerifier, { verify });
      const enterWith = (authorization: string) =>
        Effect.suspend(() => {
          const context = new RequestContext("c", "routing", undefined, 0, Infinity);
          const headers = { authorization };
          const verdict = gate.enter(new Request("http://x", { headers }), context);
          const sync = verdict === undefined;
          const done = Effect.isEffect(verdict) ? verdict : Effect.succeed(verdict);
          return Effect.map(done, () => ({ sync, principal: context.principal }));
        });
      return { calls, enterWith, enter: enterWith("Bearer a.b.c") };
    });

  it.effect("passes a remembered token at once, and verifies it again after a minute", () =>
    Effect.gen(function* () {
      const { calls, enter } = yield* counting(3_600_000);
      assert.equal((yield* enter).sync, false);
      assert.deepEqual(yield* enter, {
        sync: true,
        principal: { subject: "ann", tenantId: "ikea" },
      });
      yield* TestClock.adjust("59999 millis");
      assert.equal((yield* enter).sync, true);
      assert.equal(calls.length, 1);
      yield* TestClock.adjust("1 millis");
      assert.equal((yield* enter).sync, false);
      assert.equal(calls.length, 2);
    }));

  it.effect("forgets a token the moment it expires", () =>
    Effect.gen(function* () {
      const { calls, enter } = yield* counting(10_000);
      yield* enter;
      yield* TestClock.adjust("9999 millis");
      assert.equal((yield* enter).sync, true);
      yield* TestClock.adjust("1 millis");
      assert.equal((yield* enter).sync, false);
      assert.equal(calls.length, 2);
    }));

  it.effect("remembers a token in its plain form only, and none that is very long", () =>
    Effect.gen(function* () {
      const { calls, enterWith } = yield* counting(3_600_000);
      const long = `Bearer a.b.${"c".repeat(4_096)}`;
      for (const header of ["Bearer  a.b.c", "Bearer    a.b.c", long]) {
        for (let call = 0; call < 2; call++) {
          const { sync, principal } = yield* enterWith(header);
          assert.deepEqual([sync, principal?.tenantId], [false, "ikea"], header.slice(0, 20));
        }
      }
      assert.equal(calls.length, 6);
    }));
});
