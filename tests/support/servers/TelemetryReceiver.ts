/**
 * A local HTTP server that telemetry is sent to: it takes what comes, fails, or never answers, and
 * keeps every request that it was sent whole.
 */

/** How the receiver treats a request. */
export type Behaviour = "takes" | "fails" | "hangs";

/** One request, its body read to the end. */
export interface Delivery {
  readonly path: string;
  readonly headers: Headers;
  readonly text: string;
}

/** What is answered to a delivery that is taken. */
export type Respond = (delivery: Delivery) => Response;

/** A receiver on a free port of loopback. Use it with `await using`. */
export class TelemetryReceiver implements AsyncDisposable {
  behaviour: Behaviour = "takes";
  readonly deliveries: Array<Delivery> = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #hanging = new Set<() => void>();

  constructor(respond: Respond = () => Response.json({})) {
    this.#server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen: () => {} },
      async (request) => {
        const { pathname } = new URL(request.url);
        const delivery = { path: pathname, headers: request.headers, text: await request.text() };
        this.deliveries.push(delivery);
        if (this.behaviour === "takes") return respond(delivery);
        if (this.behaviour === "fails") return new Response(null, { status: 500 });
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#hanging.add(resolve);
        request.signal.addEventListener("abort", () => resolve());
        await promise;
        return new Response(null, { status: 503 });
      },
    );
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** Lets what hangs end, and stops listening. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const release of this.#hanging) release();
    await this.#server.shutdown();
  }
}
