/** Programs of the system that end by themselves. */

/** Runs it; throws what it wrote to standard error when it fails. */
export async function run(program: string, ...args: ReadonlyArray<string>): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (success) return new TextDecoder().decode(stdout);
  throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
}

/** True when it can be run and ends well. */
export async function succeeds(program: string, ...args: ReadonlyArray<string>): Promise<boolean> {
  try {
    await run(program, ...args);
    return true;
  } catch {
    return false;
  }
}
