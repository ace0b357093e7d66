/**
 * The tenants this process knows, kept in memory: a request asks MongoDB at most once a minute per
 * tenant, and not at all while MongoDB fails and a copy is here.
 *
 * A disabled tenant is as unknown as one that never was, and stops being served within the time a
 * copy is fresh. Names that are unknown are remembered apart from tenants and for a short time, so
 * that made-up names can neither fill the memory nor push out a tenant.
 */
import { Context, Data, Duration, Effect, Layer, Option } from "effect";
import { RecentEntries } from "../http/RecentEntries.ts";
import { fallbackUsed } from "../operations/Events.ts";
import type { DependencyFailure } from "../resilience/DependencyFailure.ts";
import type { Guard } from "../resilience/Guard.ts";
import * as Immediate from "../resilience/Immediate.ts";
import { clockOf, monotonicMillis, recentMillis } from "../resilience/Monotonic.ts";
import { type Refusal, retryAfter } from "../resilience/Refusal.ts";
import * as SingleFlight from "../resilience/SingleFlight.ts";
import type { Tenant } from "./Tenant.ts";
import { TenantRepository } from "./TenantRepository.ts";

/** MongoDB cannot be asked and no copy of the tenant is here. */
export class TenantsUnavailable extends Data.TaggedError("TenantsUnavailable")<{
  /** From the refusal or the failure; 1 second when that knows nothing. */
  readonly retryAfter: Duration.Duration;
  readonly cause: DependencyFailure | Refusal;
}> {
  override get message(): string {
    return `Cannot look up the tenant: ${this.cause.message}`;
  }
}

/** How tenants are kept. */
export interface Options {
  /** Guard of every MongoDB read. */
  readonly mongodb: Guard;
  /** How long a copy is used without asking [60 seconds]. */
  readonly freshFor?: Duration.DurationInput;
  /** How long a name stays unknown without asking [10 seconds]. */
  readonly unknownFor?: Duration.DurationInput;
  /** Most tenants kept, and most unknown names kept [10,000]. */
  readonly capacity?: number;
  /** Told of each answer from a copy in place of MongoDB's; must not throw. */
  readonly onFallback?: (operation: string, fallback: string) => void;
}

/** While MongoDB fails a copy is used for so many milliseconds before it is asked again. */
const spared = 1_000;

export class Tenants extends Context.Tag("auth/Tenants")<Tenants, {
  /** The tenant, or none when it is unknown or disabled. */
  readonly find: (tenantId: string) => Effect.Effect<Option.Option<Tenant>, TenantsUnavailable>;
  /** How many tenants and how many unknown names are kept. */
  readonly unsafeSizes: () => { readonly tenants: number; readonly unknown: number };
}>() {
  static readonly layer = (options: Options): Layer.Layer<Tenants, never, TenantRepository> =>
    Layer.effect(this, make(options));
}

interface Copy {
  readonly tenant: Tenant;
  /** Monotonic milliseconds until which nobody is asked. */
  readonly freshUntil: number;
}

const none = Effect.succeedNone;

/** With a copy at hand one attempt is enough: nobody is kept waiting for a second one. */
const noRetry = () => false;

const make = (options: Options) =>
  Effect.gen(function* () {
    const repository = yield* TenantRepository;
    const clock = yield* Effect.clock;
    const fallback = fallbackUsed({ fallback: options.onFallback ?? (() => {}) });
    const flights = yield* SingleFlight.make<string, Option.Option<Tenant>, TenantsUnavailable>();
    const freshFor = Duration.toMillis(options.freshFor ?? "60 seconds");
    const unknownFor = Duration.toMillis(options.unknownFor ?? "10 seconds");
    const capacity = options.capacity ?? 10_000;
    const copies = new RecentEntries<Copy>(capacity);
    /** Until when (monotonic milliseconds) a name counts as unknown. */
    const unknown = new RecentEntries<number>(capacity);

    const monotonicNow = Effect.withFiberRuntime<number>((fiber) =>
      Effect.succeed(monotonicMillis(clockOf(fiber)))
    );

    const remember = (tenantId: string, found: Option.Option<Tenant>, now: number) => {
      const enabled = Option.filter(found, (tenant) => tenant.enabled);
      if (Option.isSome(enabled)) {
        unknown.delete(tenantId);
        copies.set(tenantId, { tenant: enabled.value, freshUntil: now + freshFor });
      } else {
        copies.delete(tenantId);
        unknown.set(tenantId, now + unknownFor);
      }
      return enabled;
    };

    /** An older copy in place of MongoDB's answer, or the failure when there is none. */
    const standIn = (tenantId: string, failure: DependencyFailure | Refusal, now: number) => {
      const copy = copies.get(tenantId);
      if (copy === undefined) {
        return Effect.flatMap(
          retryAfter(failure, options.mongodb.breaker),
          (retryAfter) => Effect.fail(new TenantsUnavailable({ retryAfter, cause: failure })),
        );
      }
      copies.set(tenantId, { tenant: copy.tenant, freshUntil: now + spared });
      return Effect.as(
        fallback("mongodb_find", "STALE", { tenantId, error: failure.message }),
        Option.some(copy.tenant),
      );
    };

    // Freshness counts from before the read: what changes during it is seen a minute after at most.
    const read = (tenantId: string, askedAt: number, hasCopy: boolean) =>
      options.mongodb.run(
        "mongodb_find",
        repository.find(tenantId),
        hasCopy ? { isRetryable: noRetry } : undefined,
      ).pipe(
        Effect.map((found) => remember(tenantId, found, askedAt)),
        Effect.catchAll((failure) =>
          Effect.flatMap(monotonicNow, (now) => standIn(tenantId, failure, now))
        ),
      );

    return Tenants.of({
      unsafeSizes: () => ({ tenants: copies.size, unknown: unknown.size }),
      find: (tenantId) =>
        Immediate.suspend(() => {
          const now = recentMillis(clock);
          const copy = copies.get(tenantId);
          if (copy !== undefined && now < copy.freshUntil) {
            return Effect.succeed(Option.some(copy.tenant));
          }
          const unknownUntil = copy === undefined ? unknown.get(tenantId) : undefined;
          if (unknownUntil !== undefined && now < unknownUntil) return none;
          return flights.run(tenantId, read(tenantId, now, copy !== undefined));
        }),
    });
  });
