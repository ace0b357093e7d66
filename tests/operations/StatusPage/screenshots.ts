/**
 * Makes the pictures of the status page under `docs/images/`, of a real outage:
 * `deno run -A tests/operations/StatusPage/screenshots.ts`. A directory to write to may be given.
 */
import { Browser, type Screen } from "./Browser.ts";
import { Stage } from "./Stage.ts";

const directory = Deno.args[0] ?? new URL("../../../docs/images/", import.meta.url).pathname;

const screens: Readonly<Record<string, Screen>> = {
  "": { width: 1280, height: 640 },
  "-dark": { width: 1280, height: 640, scheme: "dark" },
  "-phone": { width: 375, height: 812, isPhone: true },
};

await Deno.mkdir(directory, { recursive: true });
await using stage = await Stage.start({ MONGODB_BREAKER_OPEN_FOR: "12s" });
await using browser = await Browser.launch();
const viewers = await Promise.all(
  Object.entries(screens).map(async ([suffix, screen]) =>
    [suffix, await browser.open(stage.page, screen)] as const
  ),
);

const shoot = async (state: "closed" | "open" | "half-open") => {
  for (const [suffix, viewer] of viewers) {
    await viewer.awaitState("mongodb", state);
    await viewer.page.screenshot({ path: `${directory}/status-${state}${suffix}.png` });
  }
};

/** Callers of a shop, for so many seconds, some seconds busier than others. */
const traffic = async (seconds: number) => {
  for (let second = 0; second < seconds; second += 1) {
    const end = performance.now() + 1_000;
    const calls = 6 + Math.round(4 * Math.sin(second / 2)) + second % 3;
    for (let call = 0; call < calls; call += 1) await stage.call();
    for (let call = 0; call < 3; call += 1) await stage.cachedCall();
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, end - performance.now())));
  }
};

await traffic(25);
await shoot("closed");
await stage.breakDown();
await traffic(4);
await shoot("open");
await stage.mongo.restart();
await traffic(5);
await stage.repair();
await shoot("half-open");
