/** How the status page fits the viewer: light and dark, a phone, a name as long as names can be. */
import assert from "node:assert/strict";
import { afterAll, beforeAll, describe, it } from "../../support/it.ts";
import { Amicis } from "../../support/Amicis.ts";
import { needs } from "../../support/Tools.ts";
import { Browser, type Screen, type Viewer } from "./Browser.ts";

describe("StatusPage looks", needs("chromium"), () => {
  let amicis: Amicis;
  let browser: Browser;

  beforeAll(async () => {
    [amicis, browser] = await Promise.all([
      Amicis.start({ service: "routing" }),
      Browser.launch(),
    ]);
  });
  afterAll(async () => {
    await browser?.close();
    await amicis?.stop();
  });

  const open = (screen: Screen = {}) =>
    browser.open(`http://127.0.0.1:${amicis.port}/status`, screen);

  /** Lightness of the page's ground, 0 to 255. */
  const ground = async (viewer: Viewer): Promise<number> => {
    const colour = await viewer.page.evaluate<string>("getComputedStyle(document.body).background");
    const [, red = "", green = "", blue = ""] = /rgb\((\d+), (\d+), (\d+)\)/.exec(colour) ?? [];
    return (Number(red) + Number(green) + Number(blue)) / 3;
  };

  it("is light or dark as the viewer's system is", async () => {
    await using light = await open({ scheme: "light" });
    await using dark = await open({ scheme: "dark" });
    assert.ok(await ground(light) > 200);
    assert.ok(await ground(dark) < 50);
  });

  it("fits a phone without scrolling sideways, down to 320 points", async () => {
    for (const width of [375, 320]) {
      await using viewer = await open({ width, height: 700, isPhone: true });
      assert.equal(await viewer.overflow(), 0);
      for (const card of await viewer.page.locator(".card").all()) {
        const box = await card.boundingBox();
        assert.ok(box !== null && box.x >= 0 && box.x + box.width <= width, JSON.stringify(box));
      }
    }
  });

  it("is one answer: nothing else is fetched but its events", async () => {
    await using viewer = await open();
    const asked = await viewer.page.evaluate<ReadonlyArray<string>>(
      "performance.getEntriesByType('resource').map(({ name }) => name)",
    );
    assert.deepEqual(asked.filter((name) => !name.endsWith("/status/events")), []);
    assert.deepEqual(viewer.faults(), []);
  });

  it("runs nothing that is put into it, and tells of the attempt", async () => {
    await using viewer = await open();
    await viewer.page.evaluate(`{
      const script = document.createElement("script");
      script.textContent = "globalThis.wasRun = true";
      document.body.append(script);
      const picture = document.createElement("img");
      picture.setAttribute("onerror", "globalThis.wasRun = true");
      picture.src = "data:,";
      document.body.append(picture);
    }`);
    await viewer.page.waitForFunction("document.images[0].complete");
    assert.equal(await viewer.page.evaluate("globalThis.wasRun"), undefined);
    // The page's own tests rely on a violation being seen.
    assert.match(viewer.faults().join("\n"), /Content Security Policy/);
  });

  it("offers no control where the service has none", async () => {
    await using viewer = await open();
    assert.equal(await viewer.card("mongodb").locator(".act").isHidden(), true);
  });
});
