/**
 * Compiles the services into one binary, `dist/amicis`, with no more rights than they use:
 * `deno task compile [OUTPUT [ENTRY [V8_FLAG…]]]`.
 *
 * `DENO_FOR_COMPILE` names another deno to compile with, for places where `denort` must be supplied
 * by hand through `DENORT_BIN`; elsewhere the running deno fetches it by itself.
 */
import { environmentNames } from "../src/Config.ts";

const [output = "dist/amicis", entry = "src/main.ts", ...v8Flags] = Deno.args;

// V8 believes that it has the machine's memory, not the container's, and collects old garbage only
// when the heap has grown to four times what is live: under full load an instance was killed at
// 512 MiB. Now it is twice; the time that goes into collecting is too little to be measured.
const heapGrowth = "--heap-growing-percent=100";

const permissions = [
  // Every other variable a package asks for reads as unset instead of ending the process.
  `--allow-env=${environmentNames.join(",")}`,
  "--ignore-env",
  // Databases, caches, token endpoints and key sets are settings, so hosts cannot be listed here;
  // what must never be reached can: cloud metadata services, as a second line behind the check of
  // token endpoints.
  "--allow-net",
  "--deny-net=169.254.169.254,169.254.170.2,[fd00:ec2::254],metadata.google.internal",
  // DATA_FILE and the files that connection strings name (tlsCAFile).
  "--allow-read",
  // The MongoDB handshake names the host's platform, and looks whether it is a container's: a check
  // of a file's access, for which the runtime asks who it is.
  "--allow-sys=hostname,osRelease,cpus,networkInterfaces,uid,gid",
];

const { success, code } = await new Deno.Command(
  Deno.env.get("DENO_FOR_COMPILE") ?? Deno.execPath(),
  {
    args: [
      "compile",
      "--quiet",
      "--no-check",
      "--frozen",
      "--no-prompt",
      "--exclude-unused-npm",
      // Text imports are stable since Deno 2.8; an older denort wants to be asked for them.
      "--unstable-raw-imports",
      ...permissions,
      `--v8-flags=${[heapGrowth, ...v8Flags].join(",")}`,
      `--output=${output}`,
      entry,
    ],
    // Embedding effect's package nests deeper than the 2 MiB a thread gets by default.
    env: { RUST_MIN_STACK: String(64 * 2 ** 20) },
  },
).spawn().status;

if (!success) Deno.exit(code);
