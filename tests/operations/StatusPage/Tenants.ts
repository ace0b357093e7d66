/** The auth program with many tenants, each with a breaker of its own, of which some are in trouble. */
import assert from "node:assert/strict";
import { Amicis } from "../../support/Amicis.ts";
import { TokenEndpoint } from "../../support/servers/TokenEndpoint.ts";
import { adminToken } from "./Stage.ts";

/** How many; with MongoDB's and Redis' there are two breakers more. */
export const tenantCount = 200;

/** A tenant by number, such that the order of names is that of numbers. */
export const tenantId = (number: number): string => `tenant-${String(number).padStart(3, "0")}`;

/** The breaker of a tenant. */
export const breakerOf = (number: number): string => `token-exchange-${tenantId(number)}`;

/** An auth service whose tenants share one token endpoint, which can be broken for each of them. */
export class Tenants implements AsyncDisposable {
  readonly amicis: Amicis;
  readonly #endpoint: TokenEndpoint;
  readonly #directory: string;
  readonly #broken = new Set<string>();
  #shoppers = 0;

  private constructor(amicis: Amicis, endpoint: TokenEndpoint, directory: string) {
    this.amicis = amicis;
    this.#endpoint = endpoint;
    this.#directory = directory;
    endpoint.behave(({ form }) =>
      this.#broken.has(form.get("client_id") ?? "")
        ? { kind: "answer", status: 503 }
        : { kind: "ok" }
    );
  }

  /** Starts it; every tenant has exchanged a token once, so that its breaker is there. */
  static async start(): Promise<Tenants> {
    const endpoint = await TokenEndpoint.start();
    const directory = await Deno.makeTempDir({ prefix: "amicis-tenants-" });
    const tenants = Array.from({ length: tenantCount }, (_, number) => ({
      tenantId: tenantId(number),
      name: `Tenant ${number}`,
      authConfig: { tokenEndpoint: endpoint.url, clientId: tenantId(number) },
    }));
    const file = `${directory}/data.json`;
    await Deno.writeTextFile(file, JSON.stringify({ tenants, stores: [] }));
    const amicis = await Amicis.start({
      service: "auth",
      env: { DATA_FILE: file, ADMIN_TOKEN: adminToken, RETRY_INITIAL_DELAY: "1ms" },
    });
    const started = new Tenants(amicis, endpoint, directory);
    // Not in the order of names, as tenants do not come in that order.
    for (let number = tenantCount - 1; number >= 0; number -= 1) {
      assert.equal(await started.exchange(number), 200);
    }
    return started;
  }

  get page(): string {
    return `http://127.0.0.1:${this.amicis.port}/status`;
  }

  /** A shopper whom the service does not know yet; gives the status of its answer. */
  async exchange(number: number): Promise<number> {
    const userToken = `${tenantId(number)}:shopper-${++this.#shoppers}`;
    const answer = await this.amicis.ask("/auth/exchange", { method: "POST", body: { userToken } });
    return answer.status;
  }

  /** Breaks the endpoint for one tenant until its breaker is open. */
  async breakDown(number: number): Promise<void> {
    this.#broken.add(tenantId(number));
    for (let call = 0; call < 5; call += 1) assert.equal(await this.exchange(number), 503);
  }

  async stop(): Promise<void> {
    await this.amicis.stop();
    await this.#endpoint.stop();
    await Deno.remove(this.#directory, { recursive: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
