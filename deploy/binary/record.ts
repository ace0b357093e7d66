/**
 * The main module of a binary that only records: it starts both services on embedded data, and when
 * they are ready writes the bytecode that V8 has by then to the file that its argument names.
 */
import { load } from "./Program.ts";

const [target = ""] = Deno.args;

const freePort = (): number => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
};

const ports = { AUTH_PORT: freePort(), ROUTING_PORT: freePort() };
Deno.env.set("HOST", "127.0.0.1");
for (const [name, port] of Object.entries(ports)) Deno.env.set(name, String(port));

const ready = async (port: number): Promise<void> => {
  for (let attempt = 0; attempt < 1_000; attempt += 1) {
    try {
      const { ok, body } = await fetch(`http://127.0.0.1:${port}/health/ready`);
      await body?.cancel();
      if (ok) return;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("The services to be recorded are not ready within 10 s");
};

const { launch, script } = load(undefined);
const ended = launch(["--service=all"], () => {});
const code = await Promise.race([ended, Promise.all(Object.values(ports).map(ready))]);
if (typeof code === "number") Deno.exit(code);
Deno.writeFileSync(target, script.createCachedData());
Deno.exit(0);
