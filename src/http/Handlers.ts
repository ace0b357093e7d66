/**
 * The types between an `HttpApi` and the functions that answer its endpoints: a record keyed by
 * group, then by endpoint, in which every endpoint has its handler and nothing else has.
 */
import type {
  HttpApi,
  HttpApiEndpoint,
  HttpApiError,
  HttpApiGroup,
  HttpApiMiddleware,
} from "@effect/platform";
import type { Context, Effect } from "effect";
import type { Answer } from "./Answer.ts";
import type { Principal } from "./Principal.ts";
import type { RequestContext } from "./RequestContext.ts";

type Endpoint = HttpApiEndpoint.HttpApiEndpoint.Any;
type Group = HttpApiGroup.HttpApiGroup.Any;

/** With a principal exactly where a middleware of the endpoint or its group provides one. */
export type ContextOf<R> = [HttpApiMiddleware.HttpApiMiddleware.ExtractProvides<R>] extends [never]
  ? RequestContext
  : RequestContext & { readonly principal: Context.Tag.Service<Principal> };

/** What a handler is given: the decoded parts that its endpoint declares, and the request. */
export type HandlerRequest<E extends Endpoint, R> =
  & Omit<HttpApiEndpoint.HttpApiEndpoint.Request<E>, "request">
  & { readonly context: ContextOf<R>; readonly request: Request };

/** Answers one endpoint, failing with the errors that it declares. */
export type Handler<E extends Endpoint, GroupError, GroupR, R> = (
  request: HandlerRequest<E, GroupR | HttpApiEndpoint.HttpApiEndpoint.Context<E>>,
) => Effect.Effect<
  | HttpApiEndpoint.HttpApiEndpoint.Success<E>
  | Answer<HttpApiEndpoint.HttpApiEndpoint.Success<E>>,
  Exclude<HttpApiEndpoint.HttpApiEndpoint.Error<E> | GroupError, HttpApiError.HttpApiDecodeError>,
  R
>;

type GroupContext<G> = G extends
  HttpApiGroup.HttpApiGroup<infer _Id, infer _Endpoints, infer _Error, infer R, infer _TopLevel> ? R
  : never;

/** One handler for every endpoint of every group. */
export type HandlerRecord<Groups extends Group, ApiError, ApiR, R> = {
  readonly [G in Groups as HttpApiGroup.HttpApiGroup.Name<G>]: {
    readonly [
      E in HttpApiGroup.HttpApiGroup.Endpoints<G> as HttpApiEndpoint.HttpApiEndpoint.Name<E>
    ]: Handler<E, ApiError | HttpApiGroup.HttpApiGroup.Error<G>, ApiR | GroupContext<G>, R>;
  };
};

/** The services that the handlers of a record need. */
export type RequirementsOf<H> = {
  readonly [G in keyof H]: {
    readonly [E in keyof H[G]]: H[G][E] extends (
      ...args: never
    ) => Effect.Effect<infer _A, infer _E, infer R> ? R
      : never;
  }[keyof H[G]];
}[keyof H];

/** A handler after its types have done their work. */
export type ErasedHandler = (request: {
  readonly path: unknown;
  readonly urlParams: unknown;
  readonly payload: unknown;
  readonly headers: unknown;
  readonly context: RequestContext;
  readonly request: Request;
}) => Effect.Effect<unknown, unknown, unknown>;

/** An api with all its handlers, ready to be served; `R` is what they need. */
export interface Implementation<out R> {
  readonly api: HttpApi.HttpApi.Any;
  readonly handlers: Readonly<Record<string, Readonly<Record<string, ErasedHandler>>>>;
  /** Never set; carries the type only. */
  readonly _R?: () => R;
}

/** Pairs an api with the handlers of all its endpoints. */
export const handlers = <
  Id extends string,
  Groups extends Group,
  ApiError,
  ApiR,
  const H extends HandlerRecord<Groups, ApiError, ApiR, unknown>,
>(
  api: HttpApi.HttpApi<Id, Groups, ApiError, ApiR>,
  handlers: H,
): Implementation<RequirementsOf<H>> => ({
  api,
  // The record was checked against the api; from here on the route table keeps the two together.
  handlers: handlers as unknown as Implementation<unknown>["handlers"],
});
