/** Operators' actions on the status page: the dialog, the admin token, the keyboard alone. */
import assert from "node:assert/strict";
import { Amicis } from "../../support/Amicis.ts";
import { eventually } from "../../support/eventually.ts";
import { afterAll, beforeAll, beforeEach, describe, it } from "../../support/it.ts";
import { needs } from "../../support/Tools.ts";
import { Browser, type Viewer } from "./Browser.ts";
import { adminToken } from "./Stage.ts";

describe("StatusPage control", needs("chromium"), () => {
  let amicis: Amicis;
  let browser: Browser;

  beforeAll(async () => {
    [amicis, browser] = await Promise.all([
      Amicis.start({ service: "routing", env: { ADMIN_TOKEN: adminToken } }),
      Browser.launch(),
    ]);
  });
  beforeEach(async () => {
    for (const action of ["auto", "reset"]) assert.equal(await control(action), 200);
  });
  afterAll(async () => {
    await browser?.close();
    await amicis?.stop();
  });

  const control = async (action: string): Promise<number> =>
    (await amicis.ask("/admin/breakers/mongodb", {
      method: "POST",
      headers: { authorization: `Bearer ${adminToken}` },
      body: { action },
    })).status;

  const open = () => browser.open(`http://127.0.0.1:${amicis.port}/status`);

  const openDialog = async (viewer: Viewer) => {
    await viewer.page.getByRole("button", { name: "Control mongodb" }).click();
    await viewer.page.getByRole("dialog", { name: "Control mongodb" }).waitFor();
  };
  const choose = (viewer: Viewer, action: string) =>
    viewer.page.getByRole("radio", { name: new RegExp(`^${action}`) }).check();
  const enter = (viewer: Viewer, token: string) =>
    viewer.page.getByLabel("Admin token").fill(token);
  const apply = (viewer: Viewer) => viewer.page.getByRole("button", { name: "Apply" }).click();
  const isDialogOpen = (viewer: Viewer) => viewer.page.locator("dialog").isVisible();
  const untilClosed = (viewer: Viewer) =>
    viewer.page.locator("dialog").waitFor({ state: "hidden" });

  it("forces a breaker open and hands it back, asking for the token once", async () => {
    await using viewer = await open();
    const card = viewer.card("mongodb");
    await openDialog(viewer);
    assert.equal(await viewer.text("#control-now"), "Now closed, automatic.");
    await choose(viewer, "Force open");
    await enter(viewer, adminToken);
    await apply(viewer);
    await untilClosed(viewer);
    await viewer.awaitText("#notice", /^Force open: mongodb, on this replica\. Done\.$/);
    await viewer.awaitState("mongodb", "open");
    await viewer.awaitText(card.locator(".mode"), /^forced$/);
    await viewer.awaitText(
      card.locator(".next-text"),
      /^Turns every call away until an operator ends it$/,
    );
    await viewer.awaitText("#log", /mongodb was forced open by an operator/);
    assert.equal(await card.locator("progress").isHidden(), true);

    await openDialog(viewer);
    assert.equal(await viewer.text("#control-now"), "Now open, forced.");
    assert.equal(await viewer.page.getByLabel("Admin token").isHidden(), true);
    await choose(viewer, "Automatic");
    await apply(viewer);
    await untilClosed(viewer);
    await viewer.awaitText(card.locator(".next-text"), /^The next call is a trial$/);
    await viewer.awaitText(card.locator(".mode"), /^$/);

    assert.deepEqual(viewer.faults(), []);
    assert.ok(!amicis.stdout.includes(adminToken));
    await amicis.awaitLog({ msg: "Admin action", action: "open", result: "done" });
  });

  it("offers every action there is, each as the service knows it", async () => {
    await using viewer = await open();
    const asked: Array<string> = [];
    viewer.page.on("request", (request) => {
      if (request.url().includes("/admin/")) asked.push(request.postData() ?? "");
    });
    const expected = [
      ["Disable", "disable", "disabled"],
      ["Observe only", "observe", "observed only"],
      ["Reset", "reset", ""],
      ["Close", "close", ""],
      ["Force open", "open", "forced"],
      ["Automatic", "auto", ""],
    ] as const;
    for (const [label, , mode] of expected) {
      await openDialog(viewer);
      await choose(viewer, label);
      if (asked.length === 0) await enter(viewer, adminToken);
      await apply(viewer);
      await untilClosed(viewer);
      await viewer.awaitText(viewer.card("mongodb").locator(".mode"), new RegExp(`^${mode}$`));
    }
    assert.deepEqual(asked, expected.map(([, action]) => JSON.stringify({ action })));
    assert.deepEqual(viewer.faults(), []);
  });

  it("says that the token is wrong, does nothing, and asks for it again", async () => {
    await using viewer = await open();
    await openDialog(viewer);
    await choose(viewer, "Force open");
    await enter(viewer, "a-wrong-token");
    await apply(viewer);
    await viewer.awaitText("#control-problem", /^The admin token was not accepted\.$/);
    assert.equal(await viewer.page.locator("#control-problem").getAttribute("role"), "alert");
    assert.deepEqual(await viewer.violations(), []);
    assert.equal(await isDialogOpen(viewer), true);
    assert.equal(await viewer.focused(), "token");
    assert.equal(await viewer.page.getByLabel("Admin token").inputValue(), "");
    assert.equal((await amicis.health()).circuitBreakers.mongodb.state, "closed");
    await enter(viewer, adminToken);
    await apply(viewer);
    await untilClosed(viewer);
    await viewer.awaitState("mongodb", "open");
    assert.deepEqual(viewer.faults(/status of 401/), []);
  });

  it("sends nothing before an action is chosen and a token given", async () => {
    await using viewer = await open();
    let asked = 0;
    viewer.page.on("request", (request) => {
      if (request.url().includes("/admin/")) asked += 1;
    });
    await openDialog(viewer);
    await apply(viewer);
    await choose(viewer, "Reset");
    await apply(viewer);
    assert.equal(await isDialogOpen(viewer), true);
    assert.equal(await viewer.focused(), "token");
    assert.equal(asked, 0);
    await viewer.page.getByRole("button", { name: "Cancel" }).click();
    await untilClosed(viewer);
    assert.equal(asked, 0);
  });

  it("keeps the token in the tab only, and forgets it when told to", async () => {
    await using viewer = await open();
    await openDialog(viewer);
    await choose(viewer, "Reset");
    await enter(viewer, adminToken);
    await apply(viewer);
    await untilClosed(viewer);
    assert.equal(await viewer.page.evaluate("localStorage.length + document.cookie.length"), 0);
    await openDialog(viewer);
    await viewer.page.getByRole("button", { name: "Forget it" }).click();
    assert.equal(await viewer.focused(), "token");
    assert.equal(await viewer.page.evaluate("sessionStorage.length"), 0);
  });

  it("acts on all replicas when asked to", async () => {
    await using viewer = await open();
    await openDialog(viewer);
    await choose(viewer, "Observe only");
    await viewer.page.getByLabel("On all replicas").check();
    await enter(viewer, adminToken);
    await apply(viewer);
    await viewer.awaitText("#notice", /^Observe only: mongodb, on all replicas\. Done\.$/);
    await amicis.awaitLog({ msg: "Admin action", action: "observe", fleet: true, result: "done" });
    await viewer.awaitText("#summary", /^Breaker mongodb is set by hand$/);
  });

  it("is used with the keyboard alone", async () => {
    await using viewer = await open();
    const { keyboard } = viewer.page;
    const visited: Array<string> = [];
    await eventually(async () => {
      await keyboard.press("Tab");
      visited.push(await viewer.focused());
      assert.equal(visited.at(-1), "Control redis");
    });
    assert.deepEqual(visited.slice(-2), ["Control mongodb", "Control redis"]);
    await keyboard.press("Shift+Tab");
    await keyboard.press("Enter");
    await viewer.page.getByRole("dialog").waitFor();
    await choose(viewer, "Automatic");
    await keyboard.press("ArrowDown");
    assert.equal(await viewer.page.getByRole("radio", { name: "Force open" }).isChecked(), true);
    await keyboard.press("Tab");
    assert.equal(await viewer.focused(), "fleet");
    await keyboard.press("Tab");
    assert.equal(await viewer.focused(), "token");
    await keyboard.type(adminToken);
    await keyboard.press("Enter");
    await untilClosed(viewer);
    assert.equal(await viewer.focused(), "Control mongodb");
    await viewer.awaitState("mongodb", "open");
    // Pictures that come in meanwhile do not take the focus away.
    const up = await viewer.text("#about");
    await eventually(async () => assert.notEqual(await viewer.text("#about"), up));
    assert.equal(await viewer.focused(), "Control mongodb");

    await keyboard.press("Space");
    await viewer.page.getByRole("dialog").waitFor();
    await keyboard.press("Escape");
    await untilClosed(viewer);
    assert.equal(await viewer.focused(), "Control mongodb");
    assert.deepEqual(viewer.faults(), []);
  });

  it("has nothing for axe-core to find in the open dialog, light, dark and on a phone", async () => {
    const url = `http://127.0.0.1:${amicis.port}/status`;
    for (
      const screen of [
        {},
        { scheme: "dark" },
        { width: 375, height: 667, isPhone: true },
      ] as const
    ) {
      await using viewer = await browser.open(url, screen);
      await openDialog(viewer);
      assert.deepEqual(await viewer.violations(), []);
      assert.equal(await viewer.overflow(), 0);
      await viewer.page.getByRole("button", { name: "Apply" }).scrollIntoViewIfNeeded();
      const box = await viewer.page.getByRole("button", { name: "Apply" }).boundingBox();
      const height = screen.width === undefined ? 800 : 667;
      assert.ok(box !== null && box.y + box.height <= height, JSON.stringify(box));
    }
  });

  it("does not claim to know what happened when the service cannot be reached", async () => {
    const other = await Amicis.start({ service: "routing", env: { ADMIN_TOKEN: adminToken } });
    await using viewer = await browser.open(`http://127.0.0.1:${other.port}/status`);
    await openDialog(viewer);
    await choose(viewer, "Force open");
    await enter(viewer, adminToken);
    await other.stop();
    await apply(viewer);
    await viewer.awaitText("#control-problem", /could not be reached\. Whether it was done/);
    assert.equal(await isDialogOpen(viewer), true);
  });
});
