/**
 * `Deno.serve` that does not stay deaf. When the process has no file descriptor left for one more
 * connection, the server below gives up listening for good, while it goes on with the connections it
 * has. Here the same port is then listened on again, as soon as that can be done.
 */
import { Data, Effect, Schedule, type Scope } from "effect";

/** The address cannot be listened on; nothing was started. */
export class ListenFailed extends Data.TaggedError("ListenFailed")<{
  readonly hostname: string;
  readonly port: number;
  /** `in use`, `not permitted`, `not available` or `invalid`. */
  readonly reason: string;
  readonly cause: unknown;
}> {
  override get message(): string {
    return `Cannot listen on "${this.hostname}:${this.port}": address is ${this.reason}`;
  }
}

/** Where to listen, and what answers. */
export interface Options {
  readonly hostname: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly answer: (request: Request) => Response | Promise<Response>;
  /** Answers in place of `answer` when that throws. */
  readonly onError: (error: unknown) => Response;
  /** Runs when the scope closes, before listening ends. */
  readonly beforeClose: Effect.Effect<void>;
}

/** Where it listens. */
export interface Address {
  readonly hostname: string;
  readonly port: number;
}

/** How often it is tried to listen again; each try needs a free file descriptor. */
const again = Schedule.spaced("100 millis");

/** How long idle and unread connections may hold up a server that has nothing left to answer. */
const linger = "1 second";

/** Listens until the scope closes. */
export const open = (options: Options): Effect.Effect<Address, ListenFailed, Scope.Scope> =>
  Effect.gen(function* () {
    let server: Server = yield* Effect.acquireRelease(
      listen(options, options.port),
      () => Effect.zipRight(options.beforeClose, Effect.suspend(() => close(server))),
    );
    const { hostname, port } = server.addr;
    const revive = Effect.gen(function* () {
      const error = yield* endOf(server);
      yield* Effect.logError("Listener lost", { port, error });
      server = yield* Effect.retry(listen(options, port), again);
      yield* Effect.logInfo("Listening again", { port });
    });
    // Interrupted before the server is closed, so never taken for a loss.
    yield* Effect.forkScoped(Effect.forever(revive));
    return { hostname, port };
  });

type Server = Deno.HttpServer<Deno.NetAddr>;

const listen = (
  { hostname, answer, onError }: Options,
  port: number,
): Effect.Effect<Server, ListenFailed> =>
  Effect.try({
    try: () => Deno.serve({ hostname, port, onListen: () => {}, onError }, answer),
    catch: (cause) => new ListenFailed({ hostname, port, reason: reasonOf(cause), cause }),
  });

const reasonOf = (cause: unknown): string => {
  if (cause instanceof Deno.errors.AddrInUse) return "in use";
  if (cause instanceof Deno.errors.AddrNotAvailable) return "not available";
  if (cause instanceof Deno.errors.PermissionDenied) return "not permitted";
  return "invalid";
};

/** Why a server stopped listening by itself. */
const endOf = (server: Server): Effect.Effect<unknown> =>
  Effect.promise(() => server.finished.then(() => "ended", (error: unknown) => error));

const close = (server: Server): Effect.Effect<void> =>
  // A finalizer cannot be interrupted, but what it waits for has to be.
  Effect.promise(() => server.shutdown()).pipe(
    Effect.interruptible,
    Effect.timeoutOption(linger),
    Effect.asVoid,
  );
