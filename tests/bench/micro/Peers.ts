/** The peers' surfaces, as far as they are measured; their packages are not the product's. */
import { peer } from "./Measure.ts";

interface OpossumBreaker {
  fire(...args: ReadonlyArray<unknown>): Promise<unknown>;
  open(): void;
}

interface CockatielPolicy {
  execute<A>(call: () => Promise<A>): Promise<A>;
}

interface CockatielBreaker extends CockatielPolicy {
  isolate(): unknown;
}

interface Cockatiel {
  readonly handleAll: unknown;
  readonly TimeoutStrategy: { readonly Cooperative: unknown };
  readonly ExponentialBackoff: new (options?: unknown) => unknown;
  readonly SamplingBreaker: new (options: unknown) => unknown;
  circuitBreaker(handled: unknown, options: unknown): CockatielBreaker;
  retry(handled: unknown, options: unknown): CockatielPolicy;
  bulkhead(limit: number): CockatielPolicy;
  timeout(ms: number, strategy: unknown): CockatielPolicy;
  wrap(...policies: ReadonlyArray<unknown>): CockatielPolicy;
}

// What a package exports is known from its documentation; `peer` cannot know it.
const Opossum = peer("opossum") as new (
  action: (...args: Array<never>) => Promise<unknown>,
  options: unknown,
) => OpossumBreaker;

// As above.
export const cockatiel = peer("cockatiel") as Cockatiel;

/** The call that everyone guards. */
export const call = () => Promise.resolve(1);

/** opossum without its own timer, judging by the same window and rate as the product's default. */
export const opossum = (
  action: () => Promise<unknown> = call,
  options: Readonly<Record<string, unknown>> = {},
) =>
  new Opossum(action, {
    timeout: false,
    errorThresholdPercentage: 50,
    volumeThreshold: 5,
    rollingCountTimeout: 10_000,
    rollingCountBuckets: 10,
    resetTimeout: 2 ** 31 - 1,
    ...options,
  });

/** cockatiel's sampling breaker with the same window and rate. */
export const cockatielBreaker = () =>
  cockatiel.circuitBreaker(cockatiel.handleAll, {
    halfOpenAfter: 2 ** 31 - 1,
    breaker: new cockatiel.SamplingBreaker({ threshold: 0.5, duration: 10_000, minimumRps: 1 }),
  });
