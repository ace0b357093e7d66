/**
 * From the start of the compiled binary to its first ready answer, beside a compiled program that is
 * empty, from its start to its end: what the runtime takes in any case.
 */
import { fileURLToPath } from "node:url";
import { freePort, releasePort } from "../support/ports.ts";

/** The two programs. */
export interface Programs {
  readonly product: string;
  readonly empty: string;
}

const compiler = () => Deno.env.get("DENO_FOR_COMPILE") ?? Deno.execPath();

const run = async (program: string, ...args: ReadonlyArray<string>): Promise<void> => {
  const { success, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd: fileURLToPath(new URL("../../", import.meta.url)),
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr).trim());
};

/** Compiles both into the directory; rejects where nothing can be compiled. */
export const compile = async (directory: string): Promise<Programs> => {
  const source = `${directory}/empty.ts`;
  await Deno.writeTextFile(source, "export {};\n");
  const programs = { product: `${directory}/amicis`, empty: `${directory}/empty` };
  await run(
    compiler(),
    ...["compile", "--quiet", "--no-check", "--no-config", "--no-lock"],
    `--output=${programs.empty}`,
    source,
  );
  await run(Deno.execPath(), "run", "-A", "deploy/compile.ts", programs.product);
  return programs;
};

/** Milliseconds from start to ready; asked again and again without a pause worth the name. */
const untilReady = async (program: string): Promise<number> => {
  const port = freePort();
  const from = performance.now();
  const child = new Deno.Command(program, {
    args: ["--service=routing"],
    env: { HOST: "127.0.0.1", PORT: String(port), LOG_LEVEL: "error" },
    clearEnv: true,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    while (performance.now() - from < 30_000) {
      if (await isReady(port)) return performance.now() - from;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    throw new Error("The compiled binary is not ready within 30 s");
  } finally {
    child.kill("SIGKILL");
    await child.status;
    releasePort(port);
  }
};

/** Over a plain connection, which costs less of the machine than `fetch` while the other starts. */
const isReady = async (port: number): Promise<boolean> => {
  try {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const head = "GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    await connection.write(new TextEncoder().encode(head));
    const answer = new Uint8Array(16);
    await connection.read(answer);
    return new TextDecoder().decode(answer).startsWith("HTTP/1.1 200");
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
};

const untilEnd = async (program: string): Promise<number> => {
  const from = performance.now();
  await run(program);
  return performance.now() - from;
};

/** Milliseconds of both, in turns. */
export const measure = async (
  { product, empty }: Programs,
  rounds: number,
): Promise<{ readonly product: ReadonlyArray<number>; readonly empty: ReadonlyArray<number> }> => {
  const times = { product: new Array<number>(), empty: new Array<number>() };
  // The first start of each reads the file from disk.
  await untilReady(product);
  await untilEnd(empty);
  for (let round = 0; round < rounds; round += 1) {
    times.product.push(await untilReady(product));
    times.empty.push(await untilEnd(empty));
  }
  return times;
};
