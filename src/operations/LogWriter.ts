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

/** So many characters are written without waiting for more. */
const fullBatch = 131_072;

const encoder = new TextEncoder();

/**
 * Lines become bytes in pieces of so many characters. Text that is put together is a tree in memory
 * until it is used: a small one is still in the processor's cache then, and is garbage at once.
 * Turning each batch into bytes as a whole took up to 3 µs a line under load, by a profile.
 */
const piece = 2_048;

/** Bytes of UTF-8 for one character (UTF-16 code unit) at most. */
const maxBytes = 3;

/** Bytes that are gathered; the memory is used again for the next batch. */
class Batch {
  #bytes = new Uint8Array(65_536);
  #length = 0;

  add(text: string): void {
    const most = this.#length + text.length * maxBytes;
    if (most > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(most, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#length += encoder.encodeInto(text, this.#bytes.subarray(this.#length)).written;
  }

  /** All of it, until the next `add`. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    return taken;
  }
}

/** A writer on the sink; call `flush` before the process ends. */
export const make = (options: LogWriterOptions = {}): LogWriter => {
  const sink = options.sink ?? Deno.stdout;
  const capacity = options.capacity ?? 1_048_576;
  const ordinary = capacity * 0.75;
  const batchMillis = options.batchMillis ?? 5;
  const flushMillis = options.flushMillis ?? 1_000;
  const dropNotice = options.dropNotice;
  let batch = new Batch();
  /** The one that is on its way, else an empty one. */
  let other = new Batch();
  /** Lines that are not in the batch yet. */
  let text = "";
  /** Characters that wait, in the batch or not. */
  let pending = 0;
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

  const gather = (): void => {
    batch.add(text);
    text = "";
  };

  /** Writes what waits now; what comes meanwhile is the next batch's. */
  const drain = async (): Promise<void> => {
    if (pending === 0) return;
    const lost = dropNotice === undefined ? 0 : untold;
    if (lost > 0 && dropNotice !== undefined) text += `${dropNotice(lost)}\n`;
    gather();
    const bytes = batch.take();
    const lines = pendingLines;
    [batch, other] = [other, batch];
    pending = 0;
    pendingLines = 0;
    untold -= lost;
    try {
      await writeAll(bytes);
    } catch {
      // The reader is gone (a closed pipe). There is nowhere left to say so but the counter.
      untold += lost;
      drop(lines);
    }
  };

  const schedule = (): void => {
    if (draining !== undefined || timer !== undefined) return;
    timer = setTimeout(start, pending < fullBatch ? batchMillis : 0);
  };

  const start = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    return draining ??= drain().then(() => {
      draining = undefined;
      // Each write costs a thread's turn, so lines gather for the next one as for the first.
      if (pending > 0) schedule();
    });
  };

  const append = (line: string, urgent = false): void => {
    if (pending + line.length >= (urgent ? capacity : ordinary)) {
      drop(1);
      return;
    }
    text += line;
    text += "\n";
    pending += line.length + 1;
    pendingLines += 1;
    if (text.length >= piece) gather();
    schedule();
  };

  const all = async (): Promise<void> => {
    while (pending > 0 || draining !== undefined) await start();
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
