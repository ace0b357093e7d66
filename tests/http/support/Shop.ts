/** A small api with one endpoint for each thing that a server can be asked, and its handlers. */
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "@effect/platform";
import { Data, Deferred, Duration, Effect, Schema, type Scope } from "effect";
import * as Answer from "../../../src/http/Answer.ts";
import * as ApiServer from "../../../src/http/ApiServer.ts";
import * as Header from "../../../src/http/Header.ts";
import { Lifecycle } from "../../../src/http/Lifecycle.ts";
import * as Problem from "../../../src/http/Problem.ts";
import { RequestContext } from "../../../src/http/RequestContext.ts";
import * as Deadline from "../../../src/resilience/Deadline.ts";

const Id = Schema.String.pipe(Schema.pattern(/^[A-Za-z0-9._-]{1,128}$/));

const Item = Schema.Struct({ id: Schema.String, note: Schema.optional(Schema.String) })
  .annotations({ identifier: "Item" });

/** A declared error that is no problem. */
export class Sold extends Schema.TaggedError<Sold>()("Sold", { by: Schema.String }, {
  ...HttpApiSchema.annotations({ status: 410 }),
}) {}

/** Not declared by any endpoint. */
class Undeclared extends Data.TaggedError("Undeclared") {}

export const Shop = HttpApi.make("shop").add(
  HttpApiGroup.make("items")
    .add(
      HttpApiEndpoint.get("find", "/items").setUrlParams(Schema.Struct({
        id: Id,
        limit: Schema.optionalWith(
          Schema.NumberFromString.pipe(Schema.int(), Schema.between(1, 1000)),
          { exact: true },
        ),
      })).addSuccess(Item),
    )
    .add(
      HttpApiEndpoint.get("quick", "/quick").setUrlParams(Schema.Struct({ id: Id })).addSuccess(
        Item,
      ),
    )
    .add(
      HttpApiEndpoint.get("one", "/items/:id").setPath(Schema.Struct({ id: Id })).addSuccess(Item)
        .addError(Problem.NotFound).addError(Sold),
    )
    .add(HttpApiEndpoint.del("drop", "/items/:id").setPath(Schema.Struct({ id: Id })))
    .add(
      HttpApiEndpoint.post("create", "/items").setPayload(Schema.Struct({ name: Schema.String }))
        .addSuccess(Item, { status: 201 }),
    )
    .add(HttpApiEndpoint.get("slow", "/slow").addSuccess(Schema.String))
    .add(HttpApiEndpoint.get("die", "/die").addSuccess(Schema.String))
    .add(HttpApiEndpoint.get("late", "/late").addSuccess(Schema.String))
    .add(HttpApiEndpoint.get("throw", "/throw").addSuccess(Schema.String))
    .add(HttpApiEndpoint.get("undeclared", "/undeclared").addSuccess(Schema.String))
    .add(
      HttpApiEndpoint.get("busy", "/busy").addSuccess(Schema.String).addError(
        Problem.ServiceUnavailable,
      ),
    )
    .add(HttpApiEndpoint.get("text", "/text").addSuccess(HttpApiSchema.Text()))
    .add(HttpApiEndpoint.get("raw", "/raw").addSuccess(Schema.Unknown))
    .add(HttpApiEndpoint.get("feed", "/feed").addSuccess(HttpApiSchema.Text()))
    .add(HttpApiEndpoint.get("context", "/context").addSuccess(Schema.Unknown)),
);

/** What a test can see of the handlers. */
export interface Watch {
  /** Fibers of `/slow` that have begun, and those that were interrupted. */
  slowBegun: number;
  slowInterrupted: number;
  /** Lets every `/slow` end. */
  readonly release: Deferred.Deferred<void>;
  feedCancelled: boolean;
}

const handlers = (watch: Watch) =>
  ApiServer.handlers(Shop, {
    items: {
      // More than the schema names: it must not leave the process.
      find: ({ urlParams }) =>
        Effect.succeed({ id: urlParams.id, note: String(urlParams.limit), secret: "x" }),
      quick: ({ urlParams }) => Effect.succeed({ id: urlParams.id }),
      one: ({ path }) => {
        if (path.id === "sold") return new Sold({ by: "ann" });
        // No answer can have that status.
        if (path.id === "broken") {
          const problem = Object.assign(new Problem.NotFound(), { status: 99 });
          return Effect.zipRight(Effect.sleep(1), problem);
        }
        if (path.id === "gone") return new Problem.NotFound({ error: "Item not found" });
        return Effect.succeed(
          Answer.of({ id: path.id, note: "one" }, { headers: [Header.make("x-cache", "HIT")] }),
        );
      },
      drop: () => Effect.void,
      create: ({ payload }) => Effect.succeed({ id: payload.name }),
      slow: () =>
        Effect.suspend(() => {
          watch.slowBegun++;
          return Effect.as(Deferred.await(watch.release), "done");
        }).pipe(Effect.onInterrupt(() => Effect.sync(() => watch.slowInterrupted++))),
      die: () => Effect.die(new Error("postgres://root:hunter2@db")),
      late: () => Effect.ensuring(Effect.never, Effect.die(new Error("late defect"))),
      throw: (): Effect.Effect<string> => {
        throw new Error("postgres://root:hunter2@db");
      },
      // The types forbid it; a server has to survive it all the same.
      undeclared: () => new Undeclared() as unknown as Effect.Effect<string>,
      busy: () => new Problem.ServiceUnavailable({ retryAfter: Duration.millis(1_001) }),
      text: () => Effect.succeed("plain"),
      raw: () => Effect.succeed(Answer.bytes('{"raw":true}', "application/json", { status: 202 })),
      feed: () =>
        Effect.succeed(Answer.stream(
          new ReadableStream({
            start: (controller) => controller.enqueue(new TextEncoder().encode("first\n")),
            cancel: () => {
              watch.feedCancelled = true;
            },
          }),
          "text/event-stream",
        )),
      context: ({ context }) =>
        Effect.gen(function* () {
          yield* Effect.promise(() => Promise.resolve());
          const current = yield* RequestContext.current;
          const left = yield* Deadline.remaining;
          return {
            same: current === context,
            service: context.service,
            correlationId: context.correlationId,
            traceparent: context.traceparent ?? null,
            secondsLeft: Math.ceil(Duration.toSeconds(left)),
          };
        }),
    },
  });

/** A running shop. */
export interface Running {
  readonly port: number;
  readonly url: string;
  readonly watch: Watch;
  readonly done: Array<ApiServer.Done>;
  readonly listening: ApiServer.Listening;
}

/** Serves the shop on a free port until the scope closes. */
export const open = (
  options: Partial<ApiServer.Options<never>> = {},
  more: ReadonlyArray<ApiServer.Served<never>> = [],
): Effect.Effect<Running, ApiServer.ListenFailed, Scope.Scope | Lifecycle> =>
  Effect.gen(function* () {
    const release = yield* Deferred.make<void>();
    const watch: Watch = { slowBegun: 0, slowInterrupted: 0, release, feedCancelled: false };
    const done: Array<ApiServer.Done> = [];
    const listening = yield* ApiServer.serve({
      service: "routing",
      hostname: "127.0.0.1",
      port: 0,
      apis: [{ implementation: handlers(watch), kind: "service" }, ...more],
      observe: (answered) => done.push(answered),
      shutdownGrace: "2 seconds",
      ...options,
    });
    const { port } = listening;
    return { port, url: `http://127.0.0.1:${port}`, watch, done, listening };
  });

/** {@link open} with a lifecycle of its own. */
export const openAlone = (...options: Parameters<typeof open>) =>
  Effect.provide(open(...options), Lifecycle.layer);

/** A `fetch` whose body is read. */
export const get = (url: string, init?: RequestInit) =>
  Effect.promise(async () => {
    const response = await fetch(url, init);
    const text = await response.text();
    return { status: response.status, headers: response.headers, text };
  });

/** The body of an error answer. */
export const problemOf = (answer: { readonly text: string }): Problem.Wire =>
  Schema.decodeUnknownSync(Schema.parseJson(Problem.Wire))(answer.text);
