/**
 * Loopback ports for test servers. A port is reserved until it is released, also against the other
 * test files that run at the same time, so a server that was killed can come back on its own port
 * and nothing else answers there meanwhile.
 *
 * Ports come from below the range that Linux gives to outgoing connections (32768 and above).
 */
const FIRST = 20_000;
const LAST = 32_000;

// One directory a user, who must be able to write to it.
const directory = `${Deno.env.get("TMPDIR") ?? "/tmp"}/amicis-test-ports-${Deno.uid()}`;

/** Reserves a free loopback port; throws when none is found. */
export function freePort(): number {
  Deno.mkdirSync(directory, { recursive: true });
  for (let attempt = 0; attempt < 500; attempt++) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if (!reserve(port)) continue;
    if (isFree(port)) return port;
    releasePort(port);
  }
  throw new Error("Cannot find a free loopback port");
}

/** Gives a port of `freePort` back. */
export function releasePort(port: number): void {
  try {
    Deno.removeSync(`${directory}/${port}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** True when nothing listens on the port. */
export function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}

/** The reservation is a file that holds the process id; one of a process that has ended is void. */
function reserve(port: number): boolean {
  const path = `${directory}/${port}`;
  try {
    Deno.writeTextFileSync(path, String(Deno.pid), { createNew: true });
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  if (isHeld(path)) return false;
  releasePort(port);
  return false;
}

function isHeld(path: string): boolean {
  try {
    const pid = Deno.readTextFileSync(path);
    return pid === "" || Deno.statSync(`/proc/${pid}`).isDirectory;
  } catch {
    return false;
  }
}
