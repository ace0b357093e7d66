/** What the tests of the auth room share: tenants, scripted contracts and captured log lines. */
import { Effect, HashMap, Layer, Logger, Option, Redacted } from "effect";
import {
  type IdentityFailure,
  IdentityProvider,
  type IssuedToken,
} from "../../src/auth/IdentityProvider.ts";
import type { Tenant } from "../../src/auth/Tenant.ts";
import { TenantRepository } from "../../src/auth/TenantRepository.ts";
import * as CircuitBreaker from "../../src/resilience/CircuitBreaker.ts";
import {
  type DependencyFailure,
  TransientFailure,
} from "../../src/resilience/DependencyFailure.ts";
import * as Guard from "../../src/resilience/Guard.ts";

/** An enabled tenant whose endpoint is at this address. */
export const tenantOf = (
  tenantId: string,
  tokenEndpoint = "https://idp.example/token",
  more: Partial<Tenant> = {},
): Tenant => ({
  tenantId,
  name: `Name of ${tenantId}`,
  enabled: true,
  authConfig: { tokenEndpoint, clientId: "shop" },
  ...more,
});

export const secret = Redacted.make;

/** A failure as MongoDB's or Redis' backend gives it. */
export const down = (dependency: string): TransientFailure =>
  new TransientFailure({
    dependency,
    operation: `${dependency}_find`,
    reason: "connection lost",
    timedOut: false,
    cause: null,
  });

/** A guard of one breaker and nothing else, which retries nothing. */
export const guardOf = (dependency: string, settings: Partial<CircuitBreaker.Settings> = {}) =>
  Effect.flatMap(
    CircuitBreaker.make(dependency, { openJitter: 0, ...settings }),
    (breaker) => Guard.make({ dependency, breaker }),
  );

/** A repository whose content and health a test changes as it goes. */
export class ScriptedTenants {
  readonly tenants = new Map<string, Tenant>();
  readonly asked: Array<string> = [];
  failure: DependencyFailure | undefined;
  /** Awaited by each read, before it looks. */
  gate: Effect.Effect<void> = Effect.void;

  constructor(...tenants: ReadonlyArray<Tenant>) {
    for (const tenant of tenants) this.put(tenant);
  }

  put(tenant: Tenant): void {
    this.tenants.set(tenant.tenantId, tenant);
  }

  readonly layer = Layer.succeed(TenantRepository, {
    find: (tenantId) =>
      Effect.suspend(() => {
        this.asked.push(tenantId);
        return this.gate;
      }).pipe(
        Effect.flatMap((): Effect.Effect<void, DependencyFailure> => this.failure ?? Effect.void),
        Effect.map(() => Option.fromNullable(this.tenants.get(tenantId))),
      ),
  });
}

/** A provider that answers `token-<n>` for an hour, or as the test says. */
export class ScriptedProvider {
  readonly calls: Array<{ readonly tenantId: string; readonly token: string }> = [];
  failure: IdentityFailure | undefined;
  expiresIn = 3_600;
  /** Awaited by each call, before it answers. */
  gate: Effect.Effect<void> = Effect.void;
  interrupted = 0;
  /** Tenants whose endpoints were asked for a sign of life. */
  readonly reached: Array<Tenant> = [];

  readonly layer = Layer.succeed(IdentityProvider, {
    exchange: ({ tenantId }, token) =>
      Effect.suspend(() => {
        this.calls.push({ tenantId, token: Redacted.value(token) });
        const number = this.calls.length;
        const answer = (): Effect.Effect<IssuedToken, IdentityFailure> =>
          this.failure ?? Effect.succeed({
            accessToken: Redacted.make(`token-${number}`),
            tokenType: "Bearer",
            expiresIn: this.expiresIn,
          });
        return Effect.flatMap(this.gate, answer);
      }).pipe(Effect.onInterrupt(() => Effect.sync(() => this.interrupted++))),
    reach: (tenant) =>
      Effect.suspend((): Effect.Effect<void, IdentityFailure> => {
        this.reached.push(tenant);
        return this.failure ?? Effect.void;
      }),
  });
}

/** One line as an effect wrote it. */
export interface Line {
  readonly level: string;
  readonly msg: unknown;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Collects the lines that are written under {@link Lines.layer}. */
export class Lines {
  readonly all: Array<Line> = [];
  readonly layer = Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ logLevel, message, annotations }) => {
      const [msg, ...fields] = Array.isArray(message) ? message : [message];
      this.all.push({
        level: logLevel.label,
        msg,
        fields: Object.assign(Object.fromEntries(HashMap.toEntries(annotations)), ...fields),
      });
    }),
  );

  /** The fields of the lines with this message. */
  of(msg: string): ReadonlyArray<Line["fields"]> {
    return this.all.filter((line) => line.msg === msg).map(({ fields }) => fields);
  }
}
