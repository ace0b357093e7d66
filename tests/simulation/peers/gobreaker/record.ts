/**
 * Records what sony/gobreaker does with the scripts; needs Go 1.25 and the module proxy.
 *   deno run -A tests/simulation/peers/gobreaker/record.ts
 */
import { fileURLToPath } from "node:url";
import { script } from "../Script.ts";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const scripts = await Deno.makeTempFile({ suffix: ".json" });
try {
  const given = [1, 2, 3].map((seed) => ({ seed, lines: script(seed, 400) }));
  await Deno.writeTextFile(scripts, JSON.stringify(given));
  const { success } = await new Deno.Command("go", {
    args: ["test", "-count=1", "-mod=mod", "./..."],
    cwd: path("."),
    env: { SCRIPTS: scripts, RECORDED: path("recorded.json") },
  }).output();
  if (!success) throw new Error("Go failed");
} finally {
  await Deno.remove(scripts);
}
