/**
 * Makes the pictures of the status page under `docs/images/`, of a real outage:
 * `deno run -A tests/operations/StatusPage/screenshots.ts`. Another directory may be given.
 */
import { Browser, type Screen, type Viewer } from "./Browser.ts";
import { Stage } from "./Stage.ts";

const directory = Deno.args[0] ?? new URL("../../../docs/images", import.meta.url).pathname;

const screens: Readonly<Record<string, Screen>> = {
  "": { width: 1280, height: 660 },
  "-dark": { width: 1280, height: 660, scheme: "dark" },
};
const phone: Screen = { width: 375, height: 812, isPhone: true };

const shoot = async (viewer: Viewer, state: "closed" | "open" | "half-open", suffix: string) => {
  await viewer.awaitState("mongodb", state);
  await viewer.page.screenshot({ path: `${directory}/status-${state}${suffix}.png` });
};

/** Callers of a shop, for so many seconds, some seconds busier than others. */
const traffic = async (stage: Stage, seconds: number) => {
  for (let second = 0; second < seconds; second += 1) {
    const end = performance.now() + 1_000;
    const calls = 10 + Math.round(3 * Math.sin(second / 3)) + second % 3;
    for (let call = 0; call < calls; call += 1) await stage.call();
    for (let call = 0; call < calls + 4; call += 1) await stage.cachedCall();
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, end - performance.now())));
  }
};

await Deno.mkdir(directory, { recursive: true });
await using stage = await Stage.start({
  MONGODB_BREAKER_OPEN_FOR: "15s",
  NEAR_CACHE_SIZE: "0",
});
await using browser = await Browser.launch();
const viewers: Array<readonly [suffix: string, viewer: Viewer]> = [];
for (const [suffix, screen] of Object.entries(screens)) {
  viewers.push([suffix, await browser.open(stage.page, screen)]);
}
const onPhone = await browser.open(stage.page, phone);

await traffic(stage, 45);
for (const [suffix, viewer] of viewers) await shoot(viewer, "closed", suffix);
await stage.breakDown();
await traffic(stage, 6);
await onPhone.awaitText("#dependencies", /mongodb disconnected/);
for (const [suffix, viewer] of viewers) await shoot(viewer, "open", suffix);
await shoot(onPhone, "open", "-phone");
await stage.mongo.restart();
await traffic(stage, 4);
await stage.repair();
for (const [suffix, viewer] of viewers) await shoot(viewer, "half-open", suffix);
