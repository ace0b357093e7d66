/**
 * The smallest load balancer: sends each request to the next replica that says it is ready, once. It
 * retries nothing, so whatever a replica drops its caller has lost.
 */
import type { Amicis, Answer, Ask } from "../../support/Amicis.ts";

/** Milliseconds between two questions to a replica that was not ready. */
const askEvery = 20;

export class Balancer {
  readonly #ready: Array<Amicis> = [];
  /** Requests that each replica was sent. */
  readonly sent = new Map<Amicis, number>();
  #next = 0;

  /** Waits for the replica's first 200 to `/health/ready`, and sends it requests from then on. */
  async admit(replica: Amicis): Promise<void> {
    while ((await replica.ask("/health/ready")).status !== 200) {
      await new Promise((resolve) => setTimeout(resolve, askEvery));
    }
    this.#ready.push(replica);
  }

  /** Sends it nothing more, as a cluster does before it stops a replica; what it has goes on. */
  withdraw(replica: Amicis): void {
    this.#ready.splice(this.#ready.indexOf(replica), 1);
  }

  /** The answer of the next replica; rejects when that one gives none. */
  async ask(path: string, request: Ask): Promise<Answer> {
    const replica = this.#ready[this.#next++ % this.#ready.length];
    if (replica === undefined) throw new Error("No replica is ready");
    this.sent.set(replica, (this.sent.get(replica) ?? 0) + 1);
    return await replica.ask(path, request);
  }
}

/** What came of steady load. */
export interface Steady {
  readonly answers: ReadonlyArray<Answer>;
  readonly errors: ReadonlyArray<unknown>;
}

/** Sends a request every so many milliseconds while the work goes on, however long answers take. */
export const during = async (
  work: Promise<unknown>,
  everyMs: number,
  send: () => Promise<Answer>,
): Promise<Steady> => {
  const answers: Array<Answer> = [];
  const errors: Array<unknown> = [];
  const inFlight = new Set<Promise<void>>();
  const timer = setInterval(() => {
    const sent: Promise<void> = send().then(
      (answer) => void answers.push(answer),
      (error) => void errors.push(error),
    ).finally(() => inFlight.delete(sent));
    inFlight.add(sent);
  }, everyMs);
  try {
    await work;
  } finally {
    clearInterval(timer);
    await Promise.all(inFlight);
  }
  return { answers, errors };
};
