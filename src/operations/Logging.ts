/**
 * The process's log: Effect's logger and a fast path for access lines, both one line a record.
 *
 * `Effect.logInfo("What happened", { its: "fields" })` is all that other rooms need; the service and
 * the correlation id are added from the request's context. The level can be changed at run time.
 * A slow or stuck reader of standard output costs lines, counted, and never a request's time.
 */
import {
  Array as Arr,
  Cause,
  Context,
  Effect,
  Fiber,
  FiberRef,
  FiberRefs,
  HashMap,
  Layer,
  Logger,
  LogLevel,
  Option,
  type Scope,
  Tracer,
} from "effect";
import { RequestContext } from "../http/RequestContext.ts";
import { type Fields, type Level, type LogRecord, toJson, toPretty } from "./LogLine.ts";
import * as AccessText from "./AccessText.ts";
import * as LogWriter from "./LogWriter.ts";
import { causeText, defectStack } from "./SafeText.ts";

export { type Fields, type Level, levels } from "./LogLine.ts";

export interface LoggingOptions {
  /** Lines below it are not written [info]. */
  readonly level?: Level;
  /** `json`: one object a line; `pretty`: for people at a terminal [json]. */
  readonly format?: "json" | "pretty";
  /** Colours in the pretty form [false]. */
  readonly colour?: boolean;
  /** The `service` of lines that no request and no `inService` gives one; left out without it. */
  readonly service?: string;
  /** Share of requests, 0 to 1, whose access line is written; errors ≥ 500 always are [1]. */
  readonly accessSample?: number;
  /** Where and how lines are written: see {@link LogWriter.LogWriterOptions}. */
  readonly writer?: Omit<LogWriter.LogWriterOptions, "dropNotice">;
}

/** The facts of one answered request. */
export interface AccessLine extends AccessText.AccessFields {
  /** The request's span, when requests are traced. */
  readonly span?: Tracer.AnySpan | null;
}

/** Which service and request a line belongs to, where the running fiber does not know. */
export interface Origin {
  readonly service?: string | undefined;
  readonly correlationId?: string | undefined;
}

const ranks: Readonly<Record<Level, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

const serviceAnnotation = "service";

/** Lines of `self` and of its fibers carry this `service`, unless a request says otherwise. */
export const inService = (service: string) => <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.annotateLogs(self, serviceAnnotation, service);

/** The log of the whole process; several services share it. */
export class Logging extends Context.Tag("operations/Logging")<Logging, {
  /** Writes the access line of one request, at level info. Synchronous, about 1 µs. */
  readonly access: (line: AccessLine) => void;
  /**
   * Writes a line at once, for synchronous code such as a listener. It belongs to the request of
   * the fiber that runs it, if there is one.
   */
  readonly log: (level: Level, msg: string, fields?: Fields, origin?: Origin) => void;
  /** Writes an info line whatever the level is: what must be on record. Else as `log`. */
  readonly audit: (msg: string, fields?: Fields, origin?: Origin) => void;
  readonly level: () => Level;
  /** Changes the level for the whole process, at once. */
  readonly setLevel: (level: Level) => void;
  /** Tells `sink` of every record from now on; answers what ends that. It must not throw. */
  readonly tee: (sink: (record: LogRecord) => void) => () => void;
  /** Waits until all lines are written, bounded by the writer's `flushMillis`. */
  readonly flush: Effect.Effect<void>;
  /** Lines lost since the start because the reader was slow or gone. */
  readonly dropped: () => number;
}>() {
  /** The service, and Effect's default logger replaced by it; flushed when the scope closes. */
  static readonly layer = (options: LoggingOptions = {}): Layer.Layer<Logging> =>
    Layer.unwrapScoped(
      Effect.map(make(options), ({ logging, logger }) =>
        Layer.mergeAll(
          Layer.succeed(this, logging),
          Logger.replace(Logger.defaultLogger, logger),
          // All reach the logger, which alone knows the level of the moment.
          Logger.minimumLogLevel(LogLevel.All),
        )),
    );
}

const levelOf = (level: LogLevel.LogLevel): Level | undefined => {
  if (level._tag === "None") return undefined;
  if (level.ordinal >= LogLevel.Error.ordinal) return "error";
  if (level.ordinal >= LogLevel.Warning.ordinal) return "warn";
  return level.ordinal >= LogLevel.Info.ordinal ? "info" : "debug";
};

/** Kept or dropped by the correlation id, so that all services keep the same requests' lines. */
const isSampled = (correlationId: string, share: number): boolean => {
  if (share >= 1) return true;
  let hash = 0x811c9dc5;
  for (let index = 0; index < correlationId.length; index += 1) {
    hash = Math.imul(hash ^ correlationId.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return ((hash ^ (hash >>> 16)) >>> 0) < share * 2 ** 32;
};

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;

interface Made {
  readonly logging: Context.Tag.Service<Logging>;
  readonly logger: Logger.Logger<unknown, void>;
}

const make = (options: LoggingOptions): Effect.Effect<Made, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Effect.clock;
    const isJson = options.format !== "pretty";
    const render = isJson ? toJson : toPretty(options.colour ?? false);
    const share = options.accessSample ?? 1;
    let level = options.level ?? "info";
    let threshold = ranks[level];
    const accessText = AccessText.make();

    const writer = LogWriter.make({
      ...options.writer,
      dropNotice: (count) =>
        render({
          level: "warn",
          at: clock.unsafeCurrentTimeMillis(),
          msg: "Log lines dropped",
          service: options.service,
          fields: [["count", count]],
        }),
    });
    yield* Effect.addFinalizer(() => writer.flush);

    const sinks = new Set<(record: LogRecord) => void>();
    const write = (record: LogRecord) => {
      writer.append(render(record), ranks[record.level] >= ranks.warn);
      for (const sink of sinks) sink(record);
    };

    const access = (line: AccessLine): void => {
      if (threshold > ranks.info) return;
      if (line.status < 500 && !isSampled(line.correlationId, share)) return;
      const at = clock.unsafeCurrentTimeMillis();
      if (!isJson || sinks.size > 0) {
        const { service, correlationId, method, route, status } = line;
        const durationMs = Number(AccessText.durationText(line.durationMs));
        const span = line.span ?? undefined;
        const fields = Object.entries({ method, route, status, durationMs });
        write({ level: "info", at, msg: "Request", service, correlationId, span, fields });
        return;
      }
      writer.append(accessText(line, at));
    };

    const writeNow = (given: Level, msg: string, fields: Fields, origin: Origin): void => {
      const fiber = Option.getOrUndefined(Fiber.getCurrentFiber());
      const request = fiber?.getFiberRef(RequestContext.current);
      write({
        level: given,
        at: clock.unsafeCurrentTimeMillis(),
        msg,
        service: origin.service ?? request?.service ?? options.service,
        correlationId: origin.correlationId ?? request?.correlationId,
        span: fiber?.currentSpan,
        fields: Object.entries(fields),
      });
    };

    const log = (given: Level, msg: string, fields: Fields = {}, origin: Origin = {}): void => {
      if (ranks[given] >= threshold) writeNow(given, msg, fields, origin);
    };

    const logger = Logger.make<unknown, void>((given) => {
      const severity = levelOf(given.logLevel);
      if (severity === undefined || ranks[severity] < threshold) return;
      const request = FiberRefs.getOrDefault(given.context, RequestContext.current);
      const annotated = Option.getOrUndefined(HashMap.get(given.annotations, serviceAnnotation));
      const { msg, fields, cause } = contentOf(Arr.ensure(given.message), given.cause);
      for (const [name, value] of given.annotations) fields.push([name, value]);
      const error = causeText(cause);
      if (error !== undefined) fields.push(["error", error]);
      const stack = defectStack(cause);
      if (stack !== undefined) fields.push(["stack", stack]);
      write({
        level: severity,
        at: given.date.getTime(),
        msg,
        service: request?.service ?? (typeof annotated === "string" ? annotated : options.service),
        correlationId: request?.correlationId,
        span: Option.getOrUndefined(
          Context.getOption(
            FiberRefs.getOrDefault(given.context, FiberRef.currentContext),
            Tracer.ParentSpan,
          ),
        ),
        fields,
      });
    });

    const logging = Logging.of({
      access,
      log,
      audit: (msg, fields = {}, origin = {}) => writeNow("info", msg, fields, origin),
      level: () => level,
      setLevel: (next) => {
        level = next;
        threshold = ranks[next];
      },
      tee: (sink) => {
        sinks.add(sink);
        return () => sinks.delete(sink);
      },
      flush: writer.flush,
      dropped: writer.dropped,
    });
    return { logging, logger };
  });

interface Content {
  readonly msg: string;
  readonly fields: Array<readonly [string, unknown]>;
  readonly cause: Cause.Cause<unknown>;
}

/** Sorts what was logged: plain objects are fields, errors the cause, the rest is the message. */
const contentOf = (parts: ReadonlyArray<unknown>, cause: Cause.Cause<unknown>): Content => {
  const words: Array<string> = [];
  const fields: Array<readonly [string, unknown]> = [];
  let found = cause;
  for (const part of parts) {
    if (typeof part === "string") words.push(part);
    else if (isFields(part)) fields.push(...Object.entries(part));
    else if (Cause.isCause(part)) found = Cause.isEmpty(found) ? part : found;
    else if (part instanceof Error) found = Cause.isEmpty(found) ? Cause.fail(part) : found;
    else if (part !== undefined) words.push(String(part));
  }
  const msg = words.length > 0 ? words.join(" ") : causeText(found) ?? "";
  return { msg, fields, cause: found };
};
