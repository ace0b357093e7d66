/**
 * Steady load that checks every answer: so many requests a second, one of each kind in turn, sent
 * when they are due whether or not earlier ones were answered (an open loop, so that a service that
 * slows down is not spared). Nothing is retried.
 */
import { type Answer, type Ask, readAnswer } from "../support/Amicis.ts";
import { hang, type Kind, kinds, noAnswer } from "./Answers.ts";
import { check, type LoadRequest, type Requests } from "./Requests.ts";

/** One request that was answered or given up. */
export interface Sample {
  readonly kind: Kind;
  readonly service: "auth" | "routing";
  readonly method: string;
  readonly route: string;
  /** The one store that was asked for, as `tenant/store`. */
  readonly store?: string;
  /** Status and `X-Cache`, `no answer` or `hang`. */
  readonly label: string;
  /** When it was sent, in milliseconds since the load began. */
  readonly at: number;
  /** How long the answer took, in milliseconds. */
  readonly ms: number;
  /** What is wrong with the answer itself. */
  readonly problem?: string;
}

/** Where the services are; asked before each request, for they may move. */
export type Address = (service: "auth" | "routing") => string;

export interface LoadOptions {
  readonly requests: Requests;
  readonly address: Address;
  /** Requests a second. */
  readonly rate: number;
  /** A request without an answer after so many milliseconds hangs. */
  readonly hangAfter: number;
}

/** Milliseconds between two looks at what is due. */
const tick = 10;

/** Load that runs until it is stopped. */
export class Load {
  /** Every request so far, in the order of their ends. */
  readonly samples: Array<Sample> = [];
  readonly #options: LoadOptions;
  readonly #client = Deno.createHttpClient({ poolMaxIdlePerHost: 32 });
  readonly #began = performance.now();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #inFlight = new Set<Promise<void>>();
  #sent = 0;
  #lastTick = performance.now();
  #longestStall = 0;
  /** Requests that were due while the load rested. */
  #skipped = 0;
  #isPaused = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#sendDue(), tick);
  }

  /** Milliseconds since the load began. */
  get now(): number {
    return performance.now() - this.#began;
  }

  /**
   * The longest that this process could do nothing since this was last asked, in milliseconds: how
   * busy the machine is with other things, by which a service cannot be judged.
   */
  takeLongestStall(): number {
    const longest = this.#longestStall;
    this.#longestStall = 0;
    return longest;
  }

  /** Requests sent so far. */
  get sent(): number {
    return this.#sent;
  }

  /** Sends nothing until `resume`, and waits for what is in flight. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    await Promise.all(this.#inFlight);
  }

  /** Goes on after `pause`; what would have been sent meanwhile is not made up for. */
  resume(): void {
    this.#skipped += this.#due() - this.#sent - this.#skipped;
    this.#isPaused = false;
  }

  /** Sends nothing more and waits for what is in flight. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#inFlight);
    this.#client.close();
  }

  #due(): number {
    return Math.floor(this.now * this.#options.rate / 1_000);
  }

  #sendDue(): void {
    const now = performance.now();
    this.#longestStall = Math.max(this.#longestStall, now - this.#lastTick - tick);
    this.#lastTick = now;
    if (this.#isPaused) return;
    const due = this.#due() - this.#skipped;
    for (; this.#sent < due; this.#sent++) {
      const kind = kinds[this.#sent % kinds.length] ?? "liveness";
      const request = this.#options.requests.of(kind, Math.floor(this.#sent / kinds.length));
      const sent = this.#send(request).then(() => void this.#inFlight.delete(sent));
      this.#inFlight.add(sent);
    }
  }

  async #send(request: LoadRequest): Promise<void> {
    const at = this.now;
    const { kind, service, route, store, method = "GET" } = request;
    const ended = (label: string, problem?: string) => {
      this.samples.push({
        ...{ kind, service, method, route, label, at, ms: this.now - at },
        ...(store === undefined ? {} : { store }),
        ...(problem === undefined ? {} : { problem }),
      });
    };
    const correlationId = `load-${this.#sent}`;
    let answer: Answer;
    try {
      answer = await this.#ask(request, correlationId);
    } catch (error) {
      return ended(isTimeout(error) ? hang : noAnswer, reasonOf(error));
    }
    const label = labelOf(answer);
    try {
      check(request, answer);
      if (answer.headers.get("x-correlation-id") !== correlationId) {
        throw new Error("the correlation id of another request");
      }
      ended(label);
    } catch (error) {
      ended(label, error instanceof Error ? error.message : String(error));
    }
  }

  async #ask(request: LoadRequest, correlationId: string): Promise<Answer> {
    const { method = "GET", headers = {}, body, path, service } = request;
    const url = `${this.#options.address(service)}${path}`;
    return await readAnswer(
      await fetch(url, {
        method,
        headers: { ...headers, "x-correlation-id": correlationId },
        client: this.#client,
        signal: AbortSignal.timeout(this.#options.hangAfter),
        ...(body === undefined ? {} : { body: body as Ask["body"] & string }),
      }),
    );
  }
}

const labelOf = ({ status, headers, text }: Answer): string => {
  const note = headers.get("x-cache") ?? (text === "[]" ? "empty" : undefined);
  return note === undefined ? String(status) : `${status} ${note}`;
};

/** What broke the request, without the addresses, which differ each time. */
const reasonOf = (error: unknown): string => {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return String(cause).replaceAll(/\(?http:\S+/g, "").replaceAll(/[\d.]+:\d+/g, "…");
};

const isTimeout = (error: unknown): boolean =>
  error instanceof DOMException && error.name === "TimeoutError";
