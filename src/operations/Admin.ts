/**
 * Operators' control of breakers and of the log level, behind the admin token.
 *
 * Every use leaves a line in the log, whatever the level, with the correlation id of its request;
 * also refused ones. The token itself is kept as its hash only, and compared in constant time.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { type Context, Effect, Redacted, type Scope, Stream } from "effect";
import * as Answer from "../http/Answer.ts";
import * as Gate from "../http/Gate.ts";
import { handlers, type Implementation } from "../http/Handlers.ts";
import * as Header from "../http/Header.ts";
import { NotFound, ServiceUnavailable, Unauthorized } from "../http/Problem.ts";
import { reasonOf } from "../resilience/BreakerExplanation.ts";
import type { Action, Snapshot } from "../resilience/CircuitBreaker.ts";
import { CircuitBreakers, type RegistryFull } from "../resilience/CircuitBreakers.ts";
import { type ActionResult, AdminApi, AdminAuthentication, type BreakerView } from "./AdminApi.ts";
import { Fleet } from "./Fleet.ts";
import { Logging } from "./Logging.ts";

export interface AdminOptions {
  readonly service: string;
  /** Whether a breaker of this name exists or may come to exist here. */
  readonly isBreakerName: (name: string) => Effect.Effect<boolean>;
}

const sha256 = (text: string): Uint8Array => createHash("sha256").update(text).digest();

const bearer = /^bearer +(\S+) *$/i;

/** The gate of {@link AdminAuthentication}: passes who sends the token, 401 for all others. */
export const gate = (
  token: Redacted.Redacted<string>,
  logging: Context.Tag.Service<Logging>,
): Gate.Gate => {
  const expected = sha256(Redacted.value(token));
  return Gate.make(AdminAuthentication, (request, { correlationId, service }) => {
    const given = bearer.exec(request.headers.get("authorization") ?? "")?.[1];
    if (given !== undefined && timingSafeEqual(sha256(given), expected)) return undefined;
    const reason = given === undefined ? "no token" : "wrong token";
    logging.audit("Admin access refused", { reason, method: request.method }, {
      service,
      correlationId,
    });
    return new Unauthorized({
      detail: 'Send the admin token as "Authorization: Bearer …".',
      headers: [Header.make("www-authenticate", 'Bearer realm="admin"')],
    });
  });
};

/** What holds at this moment, for the eyes of operators. */
const uncached = <A>(value: A): Answer.Answer<A> => Answer.of(value, Answer.noStore);

const iso = (at: number): string => new Date(at).toISOString();

/** A breaker as the wire has it. */
export const view = (snapshot: Snapshot): typeof BreakerView.Type => ({
  name: snapshot.name,
  state: snapshot.state,
  mode: snapshot.mode,
  counts: snapshot.counts,
  failureRate: snapshot.failureRate,
  rejected: snapshot.rejected,
  stateChangedAt: iso(snapshot.stateChangedAt),
  openUntil: snapshot.openUntil === null ? null : iso(snapshot.openUntil),
  ...(snapshot.adaptive === undefined ? {} : { adaptive: adaptiveView(snapshot.adaptive) }),
});

const adaptiveView = ({ threshold, baseline, trip }: NonNullable<Snapshot["adaptive"]>) => ({
  threshold,
  baseline,
  reason: trip === null ? null : reasonOf(trip),
});

const unknownBreaker = () =>
  new NotFound({
    error: "Circuit breaker not found",
    detail: "No circuit breaker of this name can exist in this service.",
  });

/**
 * The handlers of {@link AdminApi}. From now on, and for as long as the scope is open, the fleet's
 * overrides are applied here too.
 */
export const make = (
  options: AdminOptions,
): Effect.Effect<Implementation<never>, never, CircuitBreakers | Fleet | Logging | Scope.Scope> =>
  Effect.gen(function* () {
    const breakers = yield* CircuitBreakers;
    const fleet = yield* Fleet;
    const logging = yield* Logging;
    const { service } = options;
    const record = (action: string, fields: Readonly<Record<string, unknown>>) =>
      Effect.sync(() => logging.audit("Admin action", { action, ...fields }, { service }));

    const snapshotOf = (name: string) =>
      Effect.gen(function* () {
        for (const breaker of yield* breakers.breakers) {
          if (breaker.name === name) return view(yield* breaker.snapshot);
        }
        return null;
      });

    const control = (breaker: string, action: Action, isForFleet: boolean) =>
      Effect.gen(function* () {
        const result = (result: string) => record(action, { breaker, fleet: isForFleet, result });
        if (!(yield* options.isBreakerName(breaker))) {
          yield* result("unknown breaker");
          return yield* unknownBreaker();
        }
        yield* Effect.catchAll(
          breakers.control(breaker, action),
          () => Effect.zipRight(result("registry full"), new ServiceUnavailable()),
        );
        if (isForFleet) {
          yield* Effect.catchAll(fleet.publish({ breaker, action }), (error) =>
            Effect.zipRight(
              record(action, { breaker, fleet: true, result: "this replica only", error }),
              new ServiceUnavailable({
                error: "Fleet cannot be reached",
                detail: "The action was applied to this replica only.",
              }),
            ));
        }
        yield* result("done");
        const answer: typeof ActionResult.Type = {
          name: breaker,
          action,
          fleet: isForFleet,
          breaker: yield* snapshotOf(breaker),
        };
        return answer;
      });

    const apply = (breaker: string, action: Action): Effect.Effect<void, RegistryFull> =>
      Effect.gen(function* () {
        const isKnown = yield* options.isBreakerName(breaker);
        if (isKnown) yield* breakers.control(breaker, action);
        const result = isKnown ? "done" : "unknown breaker";
        yield* record(action, { breaker, from: "fleet", result });
      });

    yield* fleet.overrides.pipe(
      Stream.runForEach(({ breaker, action }) =>
        Effect.catchAll(
          apply(breaker, action),
          (error) => Effect.logError("Fleet override not applied", error),
        )
      ),
      Effect.forkScoped,
    );

    return handlers(AdminApi, {
      admin: {
        breakers: () =>
          Effect.zipRight(
            record("list", {}),
            Effect.map(breakers.snapshots, (snapshots) => uncached(snapshots.map(view))),
          ),
        control: ({ path, payload, urlParams }) =>
          Effect.map(control(path.name, payload.action, urlParams.fleet === "true"), uncached),
        logLevel: () =>
          Effect.map(record("read log level", {}), () => uncached({ level: logging.level() })),
        setLogLevel: ({ payload: { level } }) =>
          Effect.zipRight(
            record("set log level", { from: logging.level(), to: level }),
            Effect.sync(() => {
              logging.setLevel(level);
              return uncached({ level });
            }),
          ),
      },
    });
  });
