/** LogWriter: bounds and batches, and real pipes whose reader is slow, stuck or gone. */
import assert from "node:assert/strict";
import { Effect } from "effect";
import * as LogWriter from "../../src/operations/LogWriter.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";

/** A sink whose writes end when `release` is called. */
const gatedSink = () => {
  const writes: Array<string> = [];
  let isOpen = false;
  let release = () => {};
  const sink = {
    write: async (bytes: Uint8Array) => {
      writes.push(new TextDecoder().decode(bytes));
      if (!isOpen) await new Promise<void>((resolve) => release = resolve);
      return bytes.length;
    },
  };
  const open = () => {
    isOpen = true;
    release();
  };
  return { sink, writes, open };
};

const childPath = new URL("./LogWriter.child.ts", import.meta.url).pathname;

const spawn = (lines: number) =>
  new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", childPath, String(lines)],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();

/** Reads the one report the child makes while nobody reads its log. */
const reportOf = async (
  child: Deno.ChildProcess,
): Promise<{ written: number; dropped: number }> => {
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of child.stderr) {
    text += decoder.decode(bytes);
    if (text.endsWith("}")) return JSON.parse(text);
  }
  throw new Error(`No report: ${text}`);
};

const letGo = async (child: Deno.ChildProcess) => {
  const writer = child.stdin.getWriter();
  await writer.write(new Uint8Array([10]));
  await writer.close();
};

describe("LogWriter", () => {
  it("append() joins the lines of one turn to one write", async () => {
    const { sink, writes, open } = gatedSink();
    open();
    const writer = LogWriter.make({ sink });
    writer.append("a");
    writer.append("b");
    await eventually(() => writes.length === 1);
    assert.deepEqual(writes, ["a\nb\n"]);
  });

  it("append() has one write at a time, and the rest waits for it", async () => {
    const { sink, writes, open } = gatedSink();
    const writer = LogWriter.make({ sink, batchMillis: 0 });
    writer.append("a");
    await eventually(() => writes.length === 1);
    writer.append("b");
    writer.append("c");
    open();
    await Effect.runPromise(writer.flush);
    assert.deepEqual(writes, ["a\n", "b\nc\n"]);
  });

  it("append() gathers lines for the next batch, too, instead of writing each as it comes", async () => {
    const { sink, writes, open } = gatedSink();
    const writer = LogWriter.make({ sink, batchMillis: 20 });
    writer.append("a");
    await eventually(() => writes.length === 1);
    writer.append("b");
    open();
    await new Promise((resolve) => setTimeout(resolve));
    writer.append("c");
    await Effect.runPromise(writer.flush);
    assert.deepEqual(writes, ["a\n", "b\nc\n"]);
  });

  it("append() writes at once when a batch is full", async () => {
    const { sink, writes, open } = gatedSink();
    open();
    const writer = LogWriter.make({ sink, batchMillis: 2 ** 31 - 1 });
    writer.append("a".repeat(131_072));
    await eventually(() => writes.length === 1);
  });

  it("append() keeps every character of batches larger than any before, in their order", async () => {
    const { sink, writes, open } = gatedSink();
    open();
    const writer = LogWriter.make({ sink, batchMillis: 0 });
    let expected = "";
    for (const size of [2, 3_000, 90_000, 6, 150_000]) {
      for (const letter of ["a", "é", "→", "😀"]) {
        const line = letter.repeat(size / letter.length);
        writer.append(line);
        expected += `${line}\n`;
      }
      await Effect.runPromise(writer.flush);
    }
    assert.equal(writer.dropped(), 0);
    assert.equal(writes.join(""), expected);
  });

  it("append() writes on when a line came just as a batch ended", async () => {
    const writes: Array<string> = [];
    const writer = LogWriter.make({
      batchMillis: 0,
      sink: {
        write: (bytes) => {
          const text = new TextDecoder().decode(bytes);
          writes.push(text);
          const taken = Promise.resolve(bytes.length);
          // Two microtasks later the drain has looked at its buffer for the last time.
          if (text === "a\n") taken.then(() => {}).then(() => {}).then(() => writer.append("b"));
          return taken;
        },
      },
    });
    writer.append("a");
    await eventually(() => writes.includes("b\n"));
  });

  it("append() drops ordinary lines first when there is no room, then counts and tells", async () => {
    const { sink, writes, open } = gatedSink();
    const writer = LogWriter.make({
      sink,
      capacity: 99,
      batchMillis: 0,
      dropNotice: (count) => `lost ${count}`,
    });
    writer.append("first");
    await eventually(() => writes.length === 1);
    const line = "x".repeat(19);
    for (let index = 0; index < 10; index += 1) writer.append(line);
    assert.equal(writer.dropped(), 7);
    writer.append("urgent".padEnd(19), true);
    assert.equal(writer.dropped(), 7);
    writer.append(line, true);
    assert.equal(writer.dropped(), 8);
    open();
    await Effect.runPromise(writer.flush);
    assert.deepEqual(writes.join("").trimEnd().split("\n").map((text) => text.trim()), [
      "first",
      line,
      line,
      line,
      "urgent",
      "lost 8",
    ]);
  });

  it("append() counts the lines of a reader that is gone, and goes on", async () => {
    let isBroken = true;
    const writes: Array<string> = [];
    const writer = LogWriter.make({
      batchMillis: 0,
      dropNotice: (count) => `lost ${count}`,
      sink: {
        write: (bytes) => {
          if (isBroken) return Promise.reject(new Deno.errors.BrokenPipe());
          writes.push(new TextDecoder().decode(bytes));
          return Promise.resolve(bytes.length);
        },
      },
    });
    writer.append("a");
    writer.append("b");
    await eventually(() => writer.dropped() === 2);
    isBroken = false;
    writer.append("c");
    await Effect.runPromise(writer.flush);
    assert.deepEqual(writes, ["c\nlost 2\n"]);
  });

  it("append() writes the rest when the sink takes a part", async () => {
    let text = "";
    const writer = LogWriter.make({
      sink: {
        write: (bytes) => {
          text += new TextDecoder().decode(bytes.subarray(0, 3));
          return Promise.resolve(Math.min(3, bytes.length));
        },
      },
    });
    writer.append("abcdefgh");
    await Effect.runPromise(writer.flush);
    assert.equal(text, "abcdefgh\n");
  });

  it("append() never waits for a real pipe that nobody reads, and the line after tells", async () => {
    const child = spawn(40_000);
    // Nobody reads the log until the child says that it has written everything.
    const { written, dropped } = await reportOf(child);
    assert.equal(written, 40_000);
    assert.ok(dropped > 0);
    await letGo(child);
    const text = await new Response(child.stdout).text();
    const records = text.trimEnd().split("\n")
      .map((line): Record<string, unknown> => JSON.parse(line));
    const requests = records.filter(({ msg }) => msg === "Request");
    const told = records.filter(({ msg }) => msg === "Log lines dropped")
      .reduce((sum, { count }) => sum + Number(count), 0);
    assert.equal(requests.length + told, written);
    assert.equal(records.filter(({ msg }) => msg === "Last words").length, 1);
    assert.equal((await child.status).code, 0);
    await child.stderr.cancel();
  });

  it("flush() lets the process end when nobody ever reads", async () => {
    const child = spawn(40_000);
    await reportOf(child);
    await letGo(child);
    assert.equal((await child.status).code, 0);
    await Promise.all([child.stdout.cancel(), child.stderr.cancel()]);
  });
});
