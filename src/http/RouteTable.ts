/**
 * What an `HttpApi` says, read once at start: every endpoint with its gates, decoders, handler and
 * encoders, behind one router. A contract that cannot be served is a defect here, not a 500 later.
 */
import { HttpApi, type HttpApiEndpoint, type HttpApiMiddleware } from "@effect/platform";
import { Option, ParseResult, Schema, type SchemaAST } from "effect";
import * as Decoder from "./Decoder.ts";
import * as Encoder from "./Encoder.ts";
import type { Gate } from "./Gate.ts";
import type { ErasedHandler, Implementation } from "./Handlers.ts";
import * as Router from "./Router.ts";

/** One endpoint, ready to be run. Decoders are `null` for parts that it does not declare. */
export interface Route {
  readonly method: string;
  /** Counts among the requests that a stopping server waits for, and may be shed under overload. */
  readonly service: boolean;
  readonly gates: ReadonlyArray<Gate>;
  readonly path: Decoder.Decoder | null;
  readonly urlParams: Decoder.Decoder | null;
  readonly headers: Decoder.Decoder | null;
  readonly payload: Decoder.Decoder | null;
  readonly handler: ErasedHandler;
  /** The encoder of the lowest success status, and all of them. */
  readonly success: Encoder.Encoder;
  readonly successes: ReadonlyMap<number, Encoder.Encoder>;
  /** For typed errors that are not problems; `undefined` for one that is not declared. */
  readonly encodeError: (error: unknown) => EncodedError | undefined;
}

/** A declared error that is not a problem, as it is sent. */
export interface EncodedError {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Uint8Array<ArrayBuffer> | null;
}

/** An api with its handlers, and whether a stopping server waits for its requests. */
export interface Served<out R> {
  readonly implementation: Implementation<R>;
  readonly kind: "service" | "operations";
}

/** The router of all endpoints of several apis. */
export const make = (
  served: ReadonlyArray<Served<unknown>>,
  gates: ReadonlyArray<Gate>,
): Router.Router<Route> => {
  const declarations: Array<Router.Declaration<Route>> = [];
  for (const { implementation, kind } of served) {
    // Every HttpApi has the properties; `Any` only hides its type parameters.
    const api = implementation.api as HttpApi.HttpApi.AnyWithProps;
    HttpApi.reflect(api, {
      onGroup: () => {},
      onEndpoint: ({ group, endpoint, middleware, payloads, successes, errors }) => {
        const handler = implementation.handlers[group.identifier]?.[endpoint.name];
        const name = `${group.identifier}.${endpoint.name}`;
        if (handler === undefined) throw new Error(`Cannot serve "${name}": it has no handler`);
        const encoders = Encoder.compile(successes);
        const success = encoders.get(Math.min(...encoders.keys()));
        if (success === undefined) throw new Error(`Cannot serve "${name}": it has no success`);
        declarations.push({
          method: endpoint.method,
          path: endpoint.path,
          target: {
            method: endpoint.method,
            service: kind === "service",
            gates: gatesOf(name, [...api.middlewares, ...middleware], gates),
            path: decoder(endpoint.pathSchema, false, "Path is invalid"),
            urlParams: decoder(endpoint.urlParamsSchema, true, "Query is invalid"),
            headers: decoder(endpoint.headersSchema, false, "Headers are invalid"),
            payload: payloadDecoder(name, endpoint, payloads),
            handler,
            success,
            successes: encoders,
            encodeError: errorEncoder(errors),
          },
        });
      },
    });
  }
  return Router.make(declarations);
};

type Endpoint = HttpApiEndpoint.HttpApiEndpoint<string, string & HttpMethodName>;
type HttpMethodName = HttpApiEndpoint.HttpApiEndpoint.AnyWithProps["method"];
type PartSchema = Option.Option<Schema.Schema<never, unknown, never>>;

const decoder = (schema: PartSchema, emptyIsMissing: boolean, whole: string) =>
  Option.match(schema, {
    onNone: () => null,
    onSome: (schema) => Decoder.compile(Schema.make(schema.ast), { emptyIsMissing, whole }),
  });

const payloadDecoder = (
  name: string,
  endpoint: Endpoint,
  payloads: ReadonlyMap<string, { readonly ast: SchemaAST.AST }>,
): Decoder.Decoder | null => {
  if (Option.isNone(endpoint.payloadSchema)) return null;
  const json = payloads.get(Encoder.json);
  const hasBody = endpoint.method !== "GET" && endpoint.method !== "HEAD";
  if (json === undefined || payloads.size > 1 || !hasBody) {
    throw new Error(`Cannot serve "${name}": its payload must be one JSON body`);
  }
  return Decoder.compile(Schema.make(json.ast), {
    emptyIsMissing: false,
    whole: "Request body is invalid",
  });
};

/** In the order of `available`, so that authentication comes before what is counted per caller. */
const gatesOf = (
  name: string,
  wanted: ReadonlyArray<HttpApiMiddleware.TagClassAny>,
  available: ReadonlyArray<Gate>,
): ReadonlyArray<Gate> => {
  const keys = new Set(wanted.map((tag) => tag.key));
  const found = available.filter((gate) => keys.has(gate.key));
  for (const gate of found) keys.delete(gate.key);
  const [missing] = keys;
  if (missing !== undefined) throw new Error(`Cannot serve "${name}": no gate for "${missing}"`);
  return found;
};

const errorEncoder = (
  errors: ReadonlyMap<number, { readonly ast: Option.Option<SchemaAST.AST> }>,
): Route["encodeError"] => {
  const encoders = [...Encoder.compile(errors).values()].map((encoder) => ({
    encoder,
    accepts: Option.match(errors.get(encoder.status)?.ast ?? Option.none(), {
      onNone: () => () => false,
      onSome: (ast) => ParseResult.is(Schema.make<unknown, unknown, never>(ast)),
    }),
  }));
  return (error) => {
    for (const { encoder, accepts } of encoders) {
      if (!accepts(error)) continue;
      const { status, contentType } = encoder;
      return { status, contentType, body: encoder.encode(error) };
    }
    return undefined;
  };
};
