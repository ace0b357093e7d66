/** The status page in a real browser while MongoDB is killed and comes back. */
import assert from "node:assert/strict";
import { eventually } from "../../support/eventually.ts";
import { afterAll, beforeAll, beforeEach, describe, it } from "../../support/it.ts";
import { needs } from "../../support/Tools.ts";
import { Browser, type Viewer } from "./Browser.ts";
import { Stage } from "./Stage.ts";

describe("StatusPage in an outage", needs("chromium", "redis-server", "secantusdb"), () => {
  let stage: Stage;
  let browser: Browser;

  beforeAll(async () => {
    [stage, browser] = await Promise.all([Stage.start(), Browser.launch()]);
  });
  beforeEach(() => stage.recover());
  afterAll(async () => {
    await browser?.close();
    await stage?.stop();
  });

  const events = async (viewer: Viewer): Promise<ReadonlyArray<string>> =>
    await viewer.page.locator("#log li span").allTextContents();

  it("shows the breaker closed, open with the time to the next trial, half-open and closed", async () => {
    await using viewer = await browser.open(stage.page);
    const card = viewer.card("mongodb");
    await viewer.awaitState("mongodb", "closed");
    await viewer.awaitText("#summary", /^All well$/);
    assert.deepEqual(await viewer.page.locator("#dependencies li").allInnerTexts(), [
      "mongodb connected",
      "redis connected",
    ]);
    const before = (await events(viewer)).length;
    await eventually(async () => {
      assert.equal(await stage.call(), 200);
      assert.match(await card.locator(".rate-text").innerText(), /^0 of \d+ calls? failed/);
    });

    await stage.breakDown();
    await viewer.awaitState("mongodb", "open");
    await viewer.awaitText("#summary", /^Breaker mongodb is open$/);
    assert.match(await viewer.page.title(), /^Breaker mongodb is open, routing$/);
    await viewer.awaitText(card.locator(".next-text"), /^Next trial in [1-5] s$/);
    assert.match(await card.locator(".effect").innerText(), /^Callers: cached stores as usual/);
    assert.match(await card.locator(".rate-text").innerText(), /^before it opened: \d+ of \d+/);
    assert.notEqual(await card.locator(".failures").innerText(), "0");
    assert.ok((await card.locator(".bar-failures").getAttribute("d"))?.startsWith("M"));
    assert.match(await card.locator(".changes").innerText(), /closed → open/);
    await viewer.awaitText("#dependencies", /mongodb disconnected/);
    // Redis goes on as if nothing had happened.
    assert.equal(await viewer.card("redis").locator(".state").innerText(), "closed");
    assert.equal(await stage.call(), 503);
    await viewer.awaitText(card.locator(".rejected"), /^[1-9]/);
    await viewer.awaitText(card.locator(".next-text"), /^The next call is a trial$/);

    await stage.repair();
    await viewer.awaitState("mongodb", "half-open");
    await viewer.awaitText(card.locator(".rate-text"), /^1 trial succeeded so far$/);
    await viewer.awaitText("#summary", /^Breaker mongodb is half-open$/);
    await stage.recover();
    await viewer.awaitState("mongodb", "closed");
    await viewer.awaitText("#summary", /^All well$/);
    assert.equal(await card.locator(".next").isHidden(), true);

    // Newest first.
    const seen = (await events(viewer)).slice(0, -before || undefined);
    const order = [
      /^mongodb closed: calls succeed again$/,
      /^mongodb lets a few calls through to try$/,
      /^mongodb opened: \d+ of \d+ calls failed/,
    ].map((like) => seen.findIndex((text) => like.test(text)));
    assert.deepEqual(order, order.toSorted((one, other) => one - other), seen.join("\n"));
    assert.ok(!order.includes(-1), seen.join("\n"));
    assert.deepEqual(viewer.faults(), []);
  });

  it("announces changes of state to those who hear the page, and nothing else", async () => {
    await using viewer = await browser.open(stage.page);
    const announcer = viewer.page.locator("#announcer");
    assert.equal(await announcer.getAttribute("role"), "status");
    // What was known before this viewer came is no news.
    assert.equal(await announcer.textContent(), "");
    await stage.breakDown();
    await viewer.awaitText(announcer, /mongodb opened: \d+ of \d+ calls failed/);
    await stage.recover();
    await viewer.awaitText(announcer, /mongodb closed: calls succeed again/);
    assert.equal(await viewer.page.locator("#log").getAttribute("aria-live"), "off");
    assert.deepEqual(viewer.faults(), []);
  });

  it("shows a viewer who comes late what has happened", async () => {
    await stage.breakDown();
    await using viewer = await browser.open(stage.page);
    await viewer.awaitState("mongodb", "open");
    assert.match((await events(viewer)).join("\n"), /mongodb opened: /);
    assert.match(await viewer.card("mongodb").locator(".changes").innerText(), /closed → open/);
  });

  it("says once that nothing can be served while store and cache are gone", async () => {
    await using viewer = await browser.open(stage.page);
    await stage.redis.kill();
    await stage.breakDown();
    await viewer.awaitText("#summary", /^Not ready: neither the store nor the cache can be used$/);
    const detail = await viewer.awaitText("#detail", /^\d breakers? open/);
    assert.doesNotMatch(detail, /Not ready|\b0 /);
    await stage.redis.restart();
    await stage.recover();
    await viewer.awaitText("#summary", /^All well$/);
  });

  it("has nothing for axe-core to find in any state, light, dark and on a phone", async () => {
    const viewers = [
      await browser.open(stage.page),
      await browser.open(stage.page, { scheme: "dark" }),
      await browser.open(stage.page, { width: 375, height: 812, isPhone: true }),
    ];
    const check = async (state: "closed" | "open" | "half-open") => {
      for (const viewer of viewers) {
        await viewer.awaitState("mongodb", state);
        assert.deepEqual(await viewer.violations(), [], state);
        assert.equal(await viewer.overflow(), 0, state);
        assert.deepEqual(viewer.faults(), []);
      }
    };
    await check("closed");
    await stage.breakDown();
    await check("open");
    await stage.repair();
    await check("half-open");
    for (const viewer of viewers) await viewer[Symbol.asyncDispose]();
  });
});
