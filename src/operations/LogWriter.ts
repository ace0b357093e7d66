/**
 * Writes lines to a slow or stuck reader without ever making the writer of a line wait.
 *
 * `append` adds to a bounded buffer; one asynchronous write at a time empties it in batches. When
 * the buffer is full lines are dropped and counted, ordinary ones first: a quarter of the room is
 * kept for urgent ones. Real timers on purpose: the reader is outside of Effect's time.
 */
import { Effect } from "effect";

/** Where bytes go; answers how many were taken, like `Deno.stdout.write`. */
export interface LogSink {
  readonly write: (bytes: Uint8Array) => Promise<number>;
}

export interface LogWriterOptions {
  /** The reader's end [standard output]. */
  readonly sink?: LogSink;
  /** Most characters waiting to be written [1 MiB]; as many again may be on their way. */
  readonly capacity?: number;
  /** Milliseconds a line may wait for others to join its batch [5]. */
  readonly batchMillis?: number;
  /** Milliseconds that `flush` waits for the reader at most [1,000]. */
  readonly flushMillis?: number;
  /** The line that tells of `count` lines lost, written as soon as there is room again. */
  readonly dropNotice?: (count: number) => string;
}

/** A bounded, batching writer of lines. */
export interface LogWriter {
  /** Adds one line (without its line break). About 0.1 µs. `urgent` may use the reserved room. */
  readonly append: (line: string, urgent?: boolean) => void;
  /** Waits until all is written, but at most `flushMillis`. */
  readonly flush: Effect.Effect<void>;
  /** Lines lost since the start: no room, or the reader is gone. */
  readonly dropped: () => number;
}

const encoder = new TextEncoder();

/** So many characters are written without waiting for more. */
const fullBatch = 131_072;

/** A writer on the sink; call `flush` before the process ends. */
export const make = (options: LogWriterOptions = {}): LogWriter => {
  const sink = options.sink ?? Deno.stdout;
  const capacity = options.capacity ?? 1_048_576;
  const ordinary = capacity * 0.75;
  const batchMillis = options.batchMillis ?? 5;
  const flushMillis = options.flushMillis ?? 1_000;
  const dropNotice = options.dropNotice;
  let pending = "";
  let pendingLines = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let draining: Promise<void> | undefined;
  let dropped = 0;
  let untold = 0;

  const drop = (lines: number) => {
    dropped += lines;
    untold += lines;
  };

  const writeAll = async (bytes: Uint8Array): Promise<void> => {
    let written = 0;
    while (written < bytes.length) {
      const taken = await sink.write(bytes.subarray(written));
      if (taken <= 0) throw new Error("The log's reader takes no more bytes");
      written += taken;
    }
  };

  /** Writes what waits now; what comes meanwhile is the next batch's. */
  const drain = async (): Promise<void> => {
    if (pending === "") return;
    const lost = dropNotice === undefined ? 0 : untold;
    const text = lost > 0 && dropNotice !== undefined ? `${pending}${dropNotice(lost)}\n` : pending;
    const lines = pendingLines;
    pending = "";
    pendingLines = 0;
    untold -= lost;
    try {
      await writeAll(encoder.encode(text));
    } catch {
      // The reader is gone (a closed pipe). There is nowhere left to say so but the counter.
      untold += lost;
      drop(lines);
    }
  };

  const schedule = (): void => {
    if (draining !== undefined || timer !== undefined) return;
    timer = setTimeout(start, pending.length < fullBatch ? batchMillis : 0);
  };

  const start = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    return draining ??= drain().then(() => {
      draining = undefined;
      // Each write costs a thread's turn, so lines gather for the next one as for the first.
      if (pending !== "") schedule();
    });
  };

  const append = (line: string, urgent = false): void => {
    if (pending.length + line.length >= (urgent ? capacity : ordinary)) {
      drop(1);
      return;
    }
    pending += line;
    pending += "\n";
    pendingLines += 1;
    schedule();
  };

  const all = async (): Promise<void> => {
    while (pending !== "" || draining !== undefined) await start();
  };

  const flush = Effect.promise(async () => {
    let bound: ReturnType<typeof setTimeout> | undefined;
    const inTime = new Promise<void>((resolve) => {
      bound = setTimeout(resolve, flushMillis);
    });
    await Promise.race([all(), inTime]);
    clearTimeout(bound);
  });

  return { append, flush, dropped: () => dropped };
};
