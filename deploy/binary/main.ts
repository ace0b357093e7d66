/** What `src/main.ts` is from source: the binary's main module. */
import { start } from "../../src/Start.ts";
import { load, readBytecode } from "./Program.ts";

await start(async () => {
  const { launch, script } = load(await readBytecode());
  if (script.cachedDataRejected === true) {
    const text = "The bytecode in this binary is not for its V8 flags: starting takes longer\n";
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  }
  return { launch };
});
