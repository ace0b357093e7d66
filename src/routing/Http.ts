/**
 * The routing service on the wire: each endpoint asks `StoreLookup` and says the answer in HTTP.
 * The only place where its errors become statuses.
 */
import { Effect, Match, Option } from "effect";
import * as Answer from "../http/Answer.ts";
import { json } from "../http/Encoder.ts";
import { handlers } from "../http/Handlers.ts";
import * as Header from "../http/Header.ts";
import { NotFound, ServiceUnavailable } from "../http/Problem.ts";
import * as Immediate from "../resilience/Immediate.ts";
import { maxPageSize, Route, RoutingApi } from "./Api.ts";
import {
  type Found,
  type Page,
  StoreLookup,
  type StoreNotFound,
  type StoresUnavailable,
} from "./StoreLookup.ts";
import type { CachedStore } from "./StoreCache.ts";

/** What callers were told, by the failure: those of one moment share theirs. */
const told = new WeakMap<StoresUnavailable, ServiceUnavailable>();

/** Problems are effects that fail with themselves. */
const unavailable = (failure: StoresUnavailable): ServiceUnavailable => {
  const known = told.get(failure);
  if (known !== undefined) return known;
  const problem = new ServiceUnavailable({ retryAfter: failure.retryAfter });
  told.set(failure, problem);
  return problem;
};

const toProblem = Match.type<StoreNotFound | StoresUnavailable>().pipe(
  Match.tagsExhaustive({
    StoreNotFound: () => new NotFound({ error: "Store not found" }),
    StoresUnavailable: unavailable,
  }),
);

const cacheHeader = Header.named("x-cache");
const ageHeader = Header.named("age");

const headersOf = ({ source, ageSeconds }: Found): ReadonlyArray<Header.Header> =>
  ageSeconds === undefined
    ? [cacheHeader(source)]
    : [cacheHeader(source), ageHeader(String(ageSeconds))];

/** What callers of a route were sent, by the cache's entry that it was made from. */
const sent = new WeakMap<CachedStore, Answer.Answer<never>>();

/** A cached route is encoded once: the text that is kept beside its entry is the text that is sent. */
const routeAnswer = (found: Found): Answer.Answer<typeof Route.Type> => {
  const { entry } = found;
  const known = entry === undefined ? undefined : sent.get(entry);
  if (known !== undefined) return known;
  const { storeId, backendUrl, backendContext } = found.store;
  const route: typeof Route.Type = { storeId, backendUrl, backendContext };
  const headers = headersOf(found);
  if (entry === undefined) return Answer.of(route, { headers });
  const answer = Answer.bytes(JSON.stringify(route), json, { headers });
  sent.set(entry, answer);
  return answer;
};

/** RFC 8288; relative, so that it holds behind any proxy. */
const nextLink = (next: string, limit: number) =>
  `</api/v1/stores?limit=${limit}&after=${encodeURIComponent(next)}>; rel="next"`;

const summaries = ({ stores, next }: Page, limit: number) => {
  const shown = stores.map(({ storeId, name, backendUrl }) => ({ storeId, name, backendUrl }));
  return Option.match(next, {
    onNone: () => Answer.of(shown),
    onSome: (after) => Answer.of(shown, { headers: [Header.make("link", nextLink(after, limit))] }),
  });
};

/** Handlers of every endpoint, over one lookup. */
export const routingHandlers = Effect.map(StoreLookup, (lookup) =>
  handlers(RoutingApi, {
    stores: {
      route: ({ urlParams, context }) =>
        Immediate.match(lookup.find(context.principal.tenantId, urlParams.storeId), {
          onSuccess: (found) => Effect.succeed(routeAnswer(found)),
          onFailure: toProblem,
        }),
      list: ({ urlParams: { limit = maxPageSize, after }, context }) =>
        lookup.list(context.principal.tenantId, { after: Option.fromNullable(after), limit }).pipe(
          Effect.map((page) => summaries(page, limit)),
          Effect.catchAll(unavailable),
        ),
      record: ({ path, context }) =>
        lookup.find(context.principal.tenantId, path.storeId).pipe(
          Effect.map((found) => {
            const { storeId, name, backendUrl, backendContext, location } = found.store;
            const record = { storeId, name, backendUrl, backendContext };
            // A null location in the store counts as none.
            return Answer.of(location ? { ...record, location } : record, {
              headers: headersOf(found),
            });
          }),
          Effect.catchAll(toProblem),
        ),
    },
  }));
