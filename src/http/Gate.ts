/**
 * What stands between a route and its handler: the implementation of an `HttpApiMiddleware`.
 *
 * A gate mostly knows its answer at once, and then costs a function call; only one that has to wait
 * (for keys, say) gives an effect. Gates run in the order in which the server was given them.
 */
import type { Effect } from "effect";
import type { AnyProblem } from "./Problem.ts";
import type { RequestContext } from "./RequestContext.ts";

/** `undefined` lets the request pass; a problem is the answer. */
export type Verdict = AnyProblem | undefined;

/** Runs in front of every endpoint that carries its middleware tag. */
export interface Gate {
  /** The key of the middleware tag that this implements. */
  readonly key: string;
  /** May set what it found out on the context, and add headers for the answer. */
  readonly enter: (request: Request, context: RequestContext) => Verdict | Effect.Effect<Verdict>;
}

/** The gate that implements a middleware tag. */
export const make = (tag: { readonly key: string }, enter: Gate["enter"]): Gate => ({
  key: tag.key,
  enter,
});
