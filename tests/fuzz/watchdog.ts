/**
 * Runs beside the cases in a thread of its own, since one that never ends would keep any timer of
 * theirs from firing. Ends the process when no case has begun for too long.
 */

const limit = 60_000;
const every = 1_000;

// Not `self`: its types come with a library that would change those of every other file.
globalThis.addEventListener("message", (event) => {
  if (!(event instanceof MessageEvent)) return;
  const heartbeat = new Int32Array(event.data);
  let last = -1;
  let since = performance.now();
  setInterval(() => {
    const [begun = 0, index = 0] = heartbeat;
    if (begun !== last) {
      last = begun;
      since = performance.now();
    } else if (performance.now() - since > limit) {
      const text = `Case ${index} did not end within ${limit / 1_000} s\n`;
      Deno.stderr.writeSync(new TextEncoder().encode(text));
      Deno.kill(Deno.pid, "SIGKILL");
    }
  }, every);
});
