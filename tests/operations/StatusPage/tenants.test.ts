/** The status page of auth with 200 tenants: what is in trouble is seen first, the rest is found. */
import assert from "node:assert/strict";
import { eventually } from "../../support/eventually.ts";
import { afterAll, beforeAll, describe, it } from "../../support/it.ts";
import { needs } from "../../support/Tools.ts";
import { Browser, type Viewer } from "./Browser.ts";
import { breakerOf, tenantCount, Tenants } from "./Tenants.ts";

describe("StatusPage with many tenants", needs("chromium"), () => {
  let tenants: Tenants;
  let browser: Browser;

  beforeAll(async () => {
    [tenants, browser] = await Promise.all([Tenants.start(), Browser.launch()]);
    await tenants.breakDown(150);
  });
  afterAll(async () => {
    await browser?.close();
    await tenants?.stop();
  });

  /** The names of the cards that are shown, in their order. */
  const shown = (viewer: Viewer): Promise<ReadonlyArray<string>> =>
    viewer.page.locator(".card:not([hidden]) .name").allTextContents();

  const untilFirst = (viewer: Viewer, name: string) =>
    eventually(async () => assert.equal((await shown(viewer))[0], name));

  it("lists those that are not closed first, then by name", async () => {
    await using viewer = await browser.open(tenants.page);
    const names = await shown(viewer);
    assert.equal(names.length, 200);
    assert.equal(names[0], breakerOf(150));
    assert.deepEqual(names.slice(1, 3), ["mongodb", "redis"]);
    assert.deepEqual(names.slice(1), names.slice(1).toSorted());
    assert.equal(
      await viewer.text("#omitted"),
      `${tenantCount + 2 - 200} more closed breakers are not shown here.`,
    );
    await viewer.awaitText("#summary", /^Breaker token-exchange-tenant-150 is open$/);

    await tenants.breakDown(7);
    await untilFirst(viewer, breakerOf(7));
    await viewer.awaitText("#summary", /^2 breakers are open$/);
    assert.deepEqual(viewer.faults(), []);
  });

  it("leaves the cards where they are while the focus is among them", async () => {
    await using viewer = await browser.open(tenants.page);
    const before = await shown(viewer);
    await viewer.card("redis").locator(".act").focus();
    await tenants.breakDown(20);
    await viewer.awaitState(breakerOf(20), "open");
    assert.deepEqual(await shown(viewer), before);
    await viewer.page.locator("#filter").focus();
    await eventually(async () =>
      assert.ok((await shown(viewer)).indexOf(breakerOf(20)) < before.indexOf("mongodb"))
    );
  });

  it("shows only those with a part of a name, or in a state", async () => {
    await using viewer = await browser.open(tenants.page);
    await viewer.page.getByRole("searchbox").fill("Tenant-15");
    const found = Array.from({ length: 10 }, (_, index) => breakerOf(150 + index));
    assert.deepEqual(await shown(viewer), found);
    const open = viewer.page.getByRole("button", { name: /^open/ });
    await open.click();
    assert.equal(await open.getAttribute("aria-pressed"), "true");
    assert.deepEqual(await shown(viewer), [breakerOf(150)]);
    await viewer.page.getByRole("button", { name: /^half-open/ }).click();
    assert.deepEqual(await shown(viewer), []);
    assert.equal(await viewer.text("#no-match"), "No breaker here is like that.");
    await viewer.page.getByRole("searchbox").fill("");
    await viewer.page.getByRole("button", { name: /^all/ }).click();
    assert.equal((await shown(viewer)).length, 200);
  });

  it("sorts by what the viewer chooses", async () => {
    await using viewer = await browser.open(tenants.page);
    const order = viewer.page.getByRole("combobox", { name: "Order" });
    await order.selectOption("name");
    const names = await shown(viewer);
    assert.deepEqual(names, names.toSorted());
    for (let call = 0; call < 50; call += 1) await tenants.exchange(150);
    await viewer.awaitText(viewer.card(breakerOf(150)).locator(".rejected"), /^[5-9]\d$/);
    await order.selectOption("rejected");
    assert.equal((await shown(viewer))[0], breakerOf(150));
    await order.selectOption("rate");
    const [first = ""] = await shown(viewer);
    assert.equal(await viewer.card(first).locator(".state").innerText(), "open");
  });

  it("shows the counters of a closed breaker on demand, by mouse or keyboard", async () => {
    await using viewer = await browser.open(tenants.page);
    const card = viewer.card("mongodb");
    assert.equal(await card.locator(".counters").isVisible(), false);
    const details = viewer.page.getByRole("button", { name: "Details of mongodb" });
    await details.focus();
    await viewer.page.keyboard.press("Enter");
    assert.equal(await details.getAttribute("aria-expanded"), "true");
    assert.equal(await card.locator(".counters").isVisible(), true);
    await viewer.page.keyboard.press("Enter");
    assert.equal(await card.locator(".counters").isVisible(), false);
    // What is open shows everything at once.
    assert.equal(await viewer.card(breakerOf(150)).locator(".counters").isVisible(), true);
  });

  it("has nothing for axe-core to find, and fits a phone", async () => {
    for (
      const screen of [{}, { width: 375, height: 812, isPhone: true, scheme: "dark" }] as const
    ) {
      await using viewer = await browser.open(tenants.page, screen);
      assert.deepEqual(await viewer.violations(), []);
      assert.equal(await viewer.overflow(), 0);
      assert.deepEqual(viewer.faults(), []);
    }
  });
});
