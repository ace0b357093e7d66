/** Load by `wrk` with one thread: closed loop, loopback only, bounded in time. */
import { cacheDirectory } from "../support/Tools.ts";

/** One request, sent over and over. */
export interface Load {
  readonly url: string;
  readonly method?: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What one run has measured. */
export interface Measured {
  readonly requests: number;
  readonly perSecond: number;
  /** Latencies in milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Answers with a status of 400 or more. */
  readonly refused: number;
  /** Connections that failed, broke or timed out. */
  readonly broken: number;
}

const summary = `
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'WRK {"requests":%d,"us":%d,"p50":%f,"p99":%f,"refused":%d,"broken":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status, e.connect + e.read + e.write + e.timeout))
end
`;

const quoted = (text: string): string => JSON.stringify(text);

const scriptOf = ({ method = "GET", headers = {}, body }: Load): string =>
  [
    `wrk.method = ${quoted(method)}`,
    ...Object.entries(headers).map(([name, value]) =>
      `wrk.headers[${quoted(name)}] = ${quoted(value)}`
    ),
    ...(body === undefined ? [] : [`wrk.body = ${quoted(body)}`]),
    summary,
  ].join("\n");

/** Sends the load on so many connections for so many seconds. */
export const run = async (
  load: Load,
  { connections, seconds }: { readonly connections: number; readonly seconds: number },
): Promise<Measured> => {
  await Deno.mkdir(cacheDirectory(), { recursive: true });
  const script = await Deno.makeTempFile({ dir: cacheDirectory(), suffix: ".lua" });
  try {
    await Deno.writeTextFile(script, scriptOf(load));
    const { success, stdout, stderr } = await new Deno.Command("wrk", {
      args: [
        ...["--threads", "1", "--connections", String(connections)],
        ...["--duration", `${seconds}s`, "--timeout", "5s", "--script", script, load.url],
      ],
    }).output();
    const text = new TextDecoder().decode(stdout);
    const line = /^WRK (.*)$/m.exec(text)?.[1];
    if (!success || line === undefined) {
      throw new Error(`wrk failed: ${text}${new TextDecoder().decode(stderr)}`);
    }
    const { requests, us, p50, p99, refused, broken } = JSON.parse(line);
    return {
      requests,
      perSecond: requests / (us / 1e6),
      p50: p50 / 1_000,
      p99: p99 / 1_000,
      refused,
      broken,
    };
  } finally {
    await Deno.remove(script);
  }
};
