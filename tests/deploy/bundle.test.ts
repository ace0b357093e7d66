/** What the binary's scripts are made from: sources without the barrels of effect. */
import assert from "node:assert/strict";
import { withoutBarrels } from "../../deploy/binary/Bundle.ts";
import { describe, it } from "../support/it.ts";

describe("withoutBarrels()", () => {
  const cases: ReadonlyArray<readonly [name: string, source: string, made: string]> = [
    [
      "one module",
      'import { Effect } from "effect";',
      'import * as Effect from "effect/Effect";',
    ],
    [
      "several, over lines, types and other names among them",
      'import {\n  Array as Arr,\n  type Scope,\n} from "effect";',
      'import * as Arr from "effect/Array"; import type * as Scope from "effect/Scope";',
    ],
    [
      "types alone",
      'import type { HttpApi } from "@effect/platform";',
      'import type * as HttpApi from "@effect/platform/HttpApi";',
    ],
    [
      "functions, which have no module of their own",
      'import { pipe } from "effect";',
      'import { pipe as pipe } from "effect/Function";',
    ],
  ];
  for (const [name, source, made] of cases) {
    it(`imports namespaces in place of ${name}`, () => {
      assert.equal(withoutBarrels(source), made);
    });
  }

  it("leaves all other imports and text as they are", () => {
    const source = [
      'import { MongoClient } from "mongodb";',
      'import * as Otlp from "@effect/opentelemetry/Otlp";',
      'import { Effect } from "./Effect.ts";',
      '/** `import { Effect } from "effect"` */',
    ].join("\n");
    assert.equal(withoutBarrels(source), source);
  });

  it("leaves no barrel in any source of the program", async () => {
    const sources = new URL("../../src/", import.meta.url);
    const left: Array<string> = [];
    const look = async (folder: URL): Promise<void> => {
      for await (const { name, isDirectory } of Deno.readDir(folder)) {
        if (isDirectory) await look(new URL(`${name}/`, folder));
        else if (name.endsWith(".ts")) {
          const made = withoutBarrels(await Deno.readTextFile(new URL(name, folder)));
          if (/^.*from "(effect|@effect\/platform)";$/m.test(made)) left.push(name);
        }
      }
    };
    await look(sources);
    assert.deepEqual(left, []);
  });
});
