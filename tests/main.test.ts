/** The program before it is loaded: `main.ts` and `Start.ts` themselves, beside modules that never finish loading. */
import assert from "node:assert/strict";
import { afterAll, beforeAll, describe, it } from "./support/it.ts";

describe("main", () => {
  let folder: string;

  beforeAll(async () => {
    folder = await Deno.makeTempDir({ prefix: "amicis-main-" });
    for (const name of ["main.ts", "Start.ts"]) {
      await Deno.copyFile(new URL(`../src/${name}`, import.meta.url), `${folder}/${name}`);
    }
    await Deno.writeTextFile(
      `${folder}/Launch.ts`,
      `console.log("loading");
       await new Promise((done) => setTimeout(done, 3_600_000));
       export const launch = () => Promise.resolve(99);`,
    );
  });
  afterAll(() => Deno.remove(folder, { recursive: true }));

  /** The exit of a start that is signalled while it loads. */
  const stopWhileLoading = async (signal: Deno.Signal, ...args: ReadonlyArray<string>) => {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--no-config", `${folder}/main.ts`, ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    let said = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      said += text;
      if (said === "loading\n") child.kill(signal);
    }
    const { code, signal: by } = await child.status;
    return { code, by };
  };

  it("ends with 0 by a signal that comes while the program loads", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      assert.deepEqual(await stopWhileLoading(signal, "--service=auth"), { code: 0, by: null });
    }
  });

  it("does not call a service healthy that was not asked", async () => {
    const { code } = await stopWhileLoading("SIGTERM", "--service=auth", "--healthcheck");
    assert.equal(code, 1);
  });
});
