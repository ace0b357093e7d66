/**
 * The OpenAPI 3.1 document of a service, derived from its `HttpApi` values and completed with what
 * they cannot say: that errors are problems with certain headers, that every answer has a
 * correlation id, what the server itself refuses, and who serves the api under which licence.
 */
import { HttpApi, HttpApiSchema, OpenApi, OpenApiJsonSchema } from "@effect/platform";
import { Context, Option, type SchemaAST } from "effect";
import { contentType as problemType, Wire } from "./Problem.ts";
import { RateLimited } from "./RateLimit.ts";

/** What the document says of the service as a whole. */
export interface Info {
  readonly title: string;
  readonly version: string;
  readonly description: string;
  readonly license: { readonly name: string; readonly identifier: string };
  /** Default: the server that the document came from. */
  readonly servers?: ReadonlyArray<{ readonly url: string; readonly description: string }>;
}

/** A response header in the document. */
export interface HeaderDoc {
  readonly description: string;
  readonly schema: Readonly<Record<string, unknown>>;
  readonly required?: boolean;
}

/** Annotation of an endpoint: headers of its answers beyond the common ones, by status. */
export class ResponseHeaders extends Context.Tag("http/OpenApi/ResponseHeaders")<
  ResponseHeaders,
  Readonly<Record<number, Readonly<Record<string, HeaderDoc | Ref>>>>
>() {}

/** One way an operation may be answered. */
export interface ResponseDoc {
  description: string;
  headers?: Record<string, HeaderDoc | Ref>;
  content?: Record<string, { schema: unknown }>;
}

/** A header that the document describes once for all. */
export interface Ref {
  readonly $ref: string;
}

interface Operation extends Omit<OpenApi.OpenAPISpecOperation, "responses"> {
  responses: Record<string, ResponseDoc>;
}

/** An OpenAPI 3.1 document; plain JSON. */
export interface Document {
  readonly openapi: string;
  readonly info: Omit<Info, "servers">;
  readonly servers: Info["servers"] & object;
  readonly tags: ReadonlyArray<OpenApi.OpenAPISpecTag>;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, unknown>>;
    readonly securitySchemes: Readonly<Record<string, OpenApi.OpenAPISecurityScheme>>;
    readonly headers: Readonly<Record<string, HeaderDoc>>;
  };
}

/** The document of one or more apis served at one address; pure. */
export const openApi = (
  apis: ReadonlyArray<HttpApi.HttpApi.Any>,
  { servers = [{ url: "/", description: "This server" }], ...info }: Info,
): Document => {
  const schemas: Record<string, OpenApiJsonSchema.JsonSchema> = {};
  OpenApiJsonSchema.makeWithDefs(Wire, { defs: schemas });
  const securitySchemes: Record<string, OpenApi.OpenAPISecurityScheme> = {};
  const paths: Record<string, Record<string, Operation>> = {};
  const tags: Array<OpenApi.OpenAPISpecTag> = [];
  for (const any of apis) {
    // Every HttpApi has the properties; `Any` only hides its type parameters.
    const api = any as HttpApi.HttpApi.AnyWithProps;
    // The platform remembers and hands out one object per api.
    const spec = structuredClone(OpenApi.fromApi(api));
    const facts = factsOf(api);
    Object.assign(schemas, spec.components.schemas);
    Object.assign(securitySchemes, spec.components.securitySchemes);
    tags.push(...spec.tags);
    for (const [path, item] of Object.entries(spec.paths)) {
      const place = paths[path] ??= {};
      for (const [method, operation] of Object.entries(item)) {
        const fact = facts.get(operation.operationId);
        if (fact !== undefined) place[method] = complete(operation, fact);
      }
    }
  }
  openRequests(schemas, paths);
  const used = reachable(schemas, paths);
  const document = {
    openapi: "3.1.0",
    info,
    servers,
    tags,
    paths,
    components: { schemas: used, securitySchemes, headers: componentHeaders },
  };
  return withoutIds(document);
};

// --- what an endpoint says beyond the platform's document ---

interface Facts {
  /** Statuses of declared problems. */
  readonly problems: ReadonlySet<number>;
  /** Parts of a request can be wrong. */
  readonly decodes: boolean;
  readonly hasBody: boolean;
  readonly limited: boolean;
  readonly headers: Readonly<Record<number, Readonly<Record<string, HeaderDoc | Ref>>>>;
  readonly summary: string;
}

const factsOf = (api: HttpApi.HttpApi.AnyWithProps): ReadonlyMap<string, Facts> => {
  const facts = new Map<string, Facts>();
  HttpApi.reflect(api, {
    onGroup: () => {},
    onEndpoint: ({ group, endpoint, errors, middleware, mergedAnnotations }) => {
      const id = Context.getOption(endpoint.annotations, OpenApi.Identifier).pipe(
        Option.getOrElse(() =>
          group.topLevel ? endpoint.name : `${group.identifier}.${endpoint.name}`
        ),
      );
      const problems = [...errors].filter(([, { ast }]) => Option.exists(ast, hasProblem));
      facts.set(id, {
        problems: new Set(problems.map(([status]) => status)),
        decodes: [endpoint.pathSchema, endpoint.urlParamsSchema, endpoint.headersSchema]
          .some(Option.isSome),
        hasBody: Option.isSome(endpoint.payloadSchema),
        limited: [...api.middlewares, ...middleware].some(({ key }) => key === RateLimited.key),
        headers: Option.getOrElse(
          Context.getOption(mergedAnnotations, ResponseHeaders),
          () => ({}),
        ),
        summary: Option.getOrElse(
          Context.getOption(mergedAnnotations, OpenApi.Summary),
          () => sentenceOf(endpoint.name),
        ),
      });
    },
  });
  return facts;
};

const hasProblem = (ast: SchemaAST.AST): boolean =>
  ast._tag === "Union"
    ? ast.types.some(hasProblem)
    : HttpApiSchema.getEncoding(ast).contentType === problemType;

/** `listStores` → `List stores`. */
const sentenceOf = (name: string): string => {
  const words = name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
};

// --- requests ---

/** Fields that a request body has beyond its schema are ignored, so the document must allow them. */
const openRequests = (
  schemas: Record<string, OpenApiJsonSchema.JsonSchema>,
  paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>,
): void => {
  for (const item of Object.values(paths)) {
    for (const { requestBody } of Object.values(item)) {
      for (const { schema } of Object.values(requestBody?.content ?? {})) {
        const name = "$ref" in schema ? schema.$ref.split("/").at(-1) : undefined;
        const body = name === undefined ? schema : schemas[name];
        if (body !== undefined && "additionalProperties" in body) {
          Reflect.deleteProperty(body, "additionalProperties");
        }
      }
    }
  }
};

// --- responses ---

const integer = { type: "integer", minimum: 0 };
const headerRef = (name: string): Ref => ({ $ref: `#/components/headers/${name}` });

const componentHeaders: Readonly<Record<string, HeaderDoc>> = {
  CorrelationId: {
    description: "The caller's own id, or a new one; it is in every log line of the request",
    required: true,
    schema: { type: "string", pattern: "^[A-Za-z0-9._-]{1,128}$" },
  },
  RetryAfter: {
    description: "Whole seconds after which asking again makes sense",
    schema: { type: "integer", minimum: 1 },
  },
  Challenge: {
    description: "How to authenticate, and what was wrong with the token (RFC 6750)",
    required: true,
    schema: { type: "string" },
  },
  RateLimitLimit: { description: "Most calls of this tenant at once", schema: integer },
  RateLimitRemaining: { description: "Calls that are allowed now", schema: integer },
  RateLimitReset: { description: "Seconds until all calls are allowed again", schema: integer },
};

/** Where the caller stands, on every answer to a request that was counted. */
export const rateLimitHeaders: Readonly<Record<string, Ref>> = {
  "RateLimit-Limit": headerRef("RateLimitLimit"),
  "RateLimit-Remaining": headerRef("RateLimitRemaining"),
  "RateLimit-Reset": headerRef("RateLimitReset"),
};

/** Said before anything is counted for a tenant. */
const uncounted: ReadonlySet<number> = new Set([401, 403, 414]);

/** Headers that problems of a status carry. */
const problemHeaders: Readonly<Record<number, Readonly<Record<string, Ref>>>> = {
  401: { "WWW-Authenticate": headerRef("Challenge") },
  429: { "Retry-After": headerRef("RetryAfter"), ...rateLimitHeaders },
  503: { "Retry-After": headerRef("RetryAfter") },
};

const problem = (status: number, description: string): ResponseDoc => ({
  description,
  headers: { "X-Correlation-Id": headerRef("CorrelationId"), ...problemHeaders[status] },
  content: { [problemType]: { schema: { $ref: "#/components/schemas/Problem" } } },
});

const complete = (operation: OpenApi.OpenAPISpecOperation, facts: Facts): Operation => {
  const responses: Record<string, ResponseDoc> = {};
  const refusals = new Map(serverRefusals(facts));
  for (const [code, response] of Object.entries(operation.responses)) {
    const status = Number(code);
    // The platform declares a 400 of its own everywhere; ours is only where something is decoded.
    if (status === 400 && !refusals.has(400)) continue;
    const described: ResponseDoc = status === 400 || facts.problems.has(status)
      ? problem(status, refusals.get(status) ?? response.description)
      : { ...response, headers: { "X-Correlation-Id": headerRef("CorrelationId") } };
    const limits = facts.limited && !uncounted.has(status) ? rateLimitHeaders : {};
    responses[code] = {
      ...described,
      headers: { ...described.headers, ...limits, ...facts.headers[status] },
    };
  }
  for (const [status, description] of refusals) {
    responses[status] ??= problem(status, description);
  }
  return { ...operation, summary: operation.summary ?? facts.summary, responses };
};

/** What the server answers itself, before the handler is asked. */
const serverRefusals = (
  { problems, decodes, hasBody }: Facts,
): ReadonlyArray<readonly [number, string]> => [
  ...(decodes || hasBody || problems.has(400)
    ? [[400, "A part of the request is missing or invalid"] as const]
    : []),
  ...(hasBody
    ? [
      [408, "The body was not complete in time"] as const,
      [413, "The body is too large"] as const,
      [415, "The body is not application/json"] as const,
    ]
    : []),
  [414, "The query is longer than 8 KiB"],
  [500, "A defect of the service"],
];

// --- cleaning ---

/** The schemas that the paths lead to; the platform's own error schemas are not among them. */
const reachable = (
  schemas: Readonly<Record<string, unknown>>,
  paths: unknown,
): Record<string, unknown> => {
  const used: Record<string, unknown> = {};
  const visit = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    for (const [key, value] of Object.entries(node)) {
      if (key !== "$ref") visit(value);
      else if (typeof value === "string") follow(value);
    }
  };
  const follow = (ref: string): void => {
    const name = ref.replace("#/components/schemas/", "");
    if (name === ref || name in used || !(name in schemas)) return;
    used[name] = schemas[name];
    visit(schemas[name]);
  };
  visit(paths);
  return used;
};

/** The platform marks unknown values by an `$id` that would have to be unique. */
const withoutIds = <A>(node: A): A => {
  const copy = JSON.stringify(
    node,
    (key, value) => key === "$id" && String(value).startsWith("/schemas/") ? undefined : value,
  );
  // The same document without those members, none of which its type names.
  return JSON.parse(copy) as A;
};
