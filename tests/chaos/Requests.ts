/** The requests of the load, and for each what its answer must say. */
import assert from "node:assert/strict";
import { assertProblem } from "../e2e/support/Problems.ts";
import type { Answer, Ask } from "../support/Amicis.ts";
import { bearer } from "../support/wire/Jwt.ts";
import type { Kind } from "./Answers.ts";
import {
  accessTokenOf,
  knownStores,
  largeTenant,
  manyStores,
  ownStore,
  storeOf,
  type TenantId,
  tenants,
} from "./Shop.ts";

/** One request of the load. */
export interface LoadRequest extends Pick<Ask, "method" | "headers" | "body"> {
  readonly kind: Kind;
  readonly service: "auth" | "routing";
  readonly path: string;
  /** As in the metrics. */
  readonly route: string;
  /** The one store that is asked for, as `tenant/store`. */
  readonly store?: string;
  /** Throws when a good answer holds anything but what belongs to this request. */
  readonly verify: (answer: Answer) => void;
}

/** Sentences of the problems that dependencies cause, by service and status. */
const sentences: Readonly<Record<string, string>> = {
  "routing 404": "Store not found",
  "routing 503": "Service temporarily unavailable",
  "auth 401": "Token rejected",
  "auth 404": "Unknown tenant",
  "auth 502": "Token service returned an invalid response",
  "auth 503": "Token service temporarily unavailable. Please retry.",
};

/** What must not be told to a caller: addresses, drivers' words, stacks. */
const internals = /10\.\d+\.\d+\.\d+|127\.0\.0\.1|chaos\.test|ECONN|Mongo|ioredis|^\s+at /m;

/** Checks one answer wholly: a good one by its request, a problem by its form and sentence. */
export const check = (request: LoadRequest, answer: Answer): void => {
  const { status, text } = answer;
  if (status === 200) return request.verify(answer);
  assert.doesNotMatch(text, internals);
  const sentence = request.kind === "readiness"
    ? "Not ready"
    : sentences[`${request.service} ${status}`];
  assert.ok(sentence !== undefined, `an answer of ${status}: ${text}`);
  if (request.kind !== "readiness") assertProblem(answer, status, sentence);
};

/** Makes the requests; each is different in what must come back. */
export class Requests {
  readonly #headers: ReadonlyMap<string, Record<string, string>>;
  readonly #run = crypto.randomUUID().slice(0, 8);

  private constructor(headers: ReadonlyMap<string, Record<string, string>>) {
    this.#headers = headers;
  }

  static async make(): Promise<Requests> {
    // Good on either side of a clock that jumps by an hour.
    const now = Math.floor(Date.now() / 1_000);
    const claims = { iat: now - 4 * 3_600, exp: now + 8 * 3_600 };
    return new Requests(
      new Map(
        await Promise.all(
          [...tenants, largeTenant].map(async (tenantId) =>
            [tenantId, await bearer(tenantId, { claims })] as const
          ),
        ),
      ),
    );
  }

  /** The request of this kind in this round of the load. */
  of(kind: Kind, round: number): LoadRequest {
    const tenantId = tenants[round % 2] ?? "ikea";
    const known = knownStores[round % knownStores.length] ?? "";
    switch (kind) {
      case "cached store":
      case "cached store again":
        return this.#route(kind, tenantId, known);
      case "first read":
        return this.#route(kind, largeTenant, `store-${round % manyStores}`);
      case "unknown store":
        return this.#route(kind, tenantId, `nowhere-${round}`);
      case "other tenant's store":
        return this.#route(kind, tenantId, ownStore(tenantId === "ikea" ? "habitat" : "ikea"));
      case "stores":
        return this.#stores(tenantId);
      case "record":
        return this.#record(tenantId, known);
      case "known token":
        return exchange(kind, "ikea", `shopper-${round % 5}`);
      case "new token":
        return exchange(kind, "ikea", `shopper-${this.#run}-${round}`);
      case "other tenant's token":
        // The same shopper's token at another tenant is another token.
        return exchange(kind, "habitat", `shopper-${this.#run}-${round}`);
      case "unknown tenant":
        return exchange(kind, `nobody-${this.#run}-${round}`, "shopper");
      case "liveness":
      case "readiness": {
        const path = kind === "liveness" ? "/health/live" : "/health/ready";
        const service = round % 2 === 0 ? "routing" : "auth";
        return { kind, service, path, route: path, verify: () => {} };
      }
    }
  }

  #route(kind: Kind, tenantId: string, storeId: string): LoadRequest {
    return {
      kind,
      service: "routing",
      path: `/api/v1/route?storeId=${storeId}`,
      route: "/api/v1/route",
      store: `${tenantId}/${storeId}`,
      headers: this.#headers.get(tenantId) ?? {},
      verify: ({ json }) => {
        const { backendUrl, backendContext } = storeOf(tenantId, storeId);
        assert.deepEqual(json, { storeId, backendUrl, backendContext });
      },
    };
  }

  #stores(tenantId: TenantId): LoadRequest {
    const expected = knownStores.map((storeId) => {
      const { name, backendUrl } = storeOf(tenantId, storeId);
      return { storeId, name, backendUrl };
    });
    return {
      kind: "stores",
      service: "routing",
      path: `/api/v1/stores?limit=${knownStores.length}`,
      route: "/api/v1/stores",
      headers: this.#headers.get(tenantId) ?? {},
      // None at all is for the fault to allow.
      verify: ({ json }) => json.length === 0 || assert.deepEqual(json, expected),
    };
  }

  #record(tenantId: TenantId, storeId: string): LoadRequest {
    return {
      kind: "record",
      service: "routing",
      path: `/api/v1/stores/${storeId}`,
      route: "/api/v1/stores/:storeId",
      store: `${tenantId}/${storeId}`,
      headers: this.#headers.get(tenantId) ?? {},
      verify: ({ json }) => {
        const { tenantId: _, ...record } = storeOf(tenantId, storeId);
        assert.deepEqual(json, record);
      },
    };
  }
}

const exchange = (kind: Kind, tenantId: string, shopper: string): LoadRequest => ({
  kind,
  service: "auth",
  method: "POST",
  path: "/auth/exchange",
  route: "/auth/exchange",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ userToken: `${tenantId}:${shopper}` }),
  verify: ({ json, headers }) => {
    assert.equal(json.accessToken, accessTokenOf(tenantId, shopper));
    assert.deepEqual(json.tenant, { id: tenantId, name: `The ${tenantId}` });
    assert.ok(Number.isInteger(json.expiresIn) && json.expiresIn >= 1 && json.expiresIn <= 3_600);
    assert.equal(headers.get("cache-control"), "no-store");
  },
});
