/** Prometheus' own verdict on a page of metrics. */
import { toolPath } from "../support/Tools.ts";

/** What `promtool check metrics` says of a page: nothing, with code 0, when all is well. */
export const checkMetrics = async (
  page: string,
): Promise<{ readonly code: number; readonly said: string }> => {
  const child = new Deno.Command(toolPath("promtool"), {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(page));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  return { code, said };
};
