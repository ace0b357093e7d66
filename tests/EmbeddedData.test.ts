import assert from "node:assert/strict";
import { Effect, Schema } from "effect";
import { Embedded } from "../src/DataFile.ts";
import * as EmbeddedData from "../src/EmbeddedData.ts";
import { describe, it } from "./support/it.ts";

describe("demo", () => {
  it.effect("is what a data file of the same content would give", () =>
    Effect.gen(function* () {
      const written = yield* Schema.encode(Schema.parseJson(Embedded))(EmbeddedData.demo);
      const path = yield* Effect.promise(() => Deno.makeTempFile({ suffix: ".json" }));
      yield* Effect.addFinalizer(() => Effect.promise(() => Deno.remove(path)));
      yield* Effect.promise(() => Deno.writeTextFile(path, written));
      assert.deepEqual(yield* EmbeddedData.load(path), yield* EmbeddedData.load(undefined));
    }));
});
