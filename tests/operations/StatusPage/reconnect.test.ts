/** The status page when its service is restarted, falls silent, or has too many viewers. */
import assert from "node:assert/strict";
import { Amicis } from "../../support/Amicis.ts";
import { afterAll, beforeAll, describe, it } from "../../support/it.ts";
import { TcpProxy } from "../../support/servers/TcpProxy.ts";
import { needs } from "../../support/Tools.ts";
import { Browser } from "./Browser.ts";

/** What Chromium itself says of a connection that is lost on purpose. */
const lost = /ERR_(?:CONNECTION|INCOMPLETE|EMPTY|NETWORK|SOCKET)|status of 503/;

describe("StatusPage reconnecting", needs("chromium"), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await Browser.launch();
  });
  afterAll(() => browser?.close());

  const start = () => Amicis.start({ service: "routing" });

  it("comes back by itself when the service was restarted", async () => {
    const first = await start();
    const target = { port: first.port };
    const proxy = await TcpProxy.start(target);
    await using viewer = await browser.open(`http://127.0.0.1:${proxy.port}/status`);
    await viewer.awaitText("#about", /up [1-9]\d* s$/);
    await viewer.page.evaluate("globalThis.isSamePage = true");

    await first.stop();
    await viewer.awaitText("#link", /^reconnecting$/);
    await viewer.awaitText("#announcer", /Connection lost, what is shown is old/);
    await viewer.awaitText("#summary", /^No news for \d+ s$/);

    await using second = await start();
    target.port = second.port;
    await viewer.awaitText("#link", /^live$/);
    await viewer.awaitText("#announcer", /Connected again/);
    await viewer.awaitText("#summary", /^All well$/);
    await viewer.awaitState("mongodb", "closed");
    assert.equal(await viewer.page.evaluate("globalThis.isSamePage"), true);
    assert.deepEqual(viewer.faults(lost), []);
    await proxy.stop();
  });

  it("says how old it is while the service says nothing", async () => {
    await using amicis = await start();
    await using viewer = await browser.open(`http://127.0.0.1:${amicis.port}/status`);
    amicis.signal("SIGSTOP");
    await viewer.awaitText("#summary", /^No news for \d+ s$/);
    await viewer.awaitText("#detail", /What is below is old\.$/);
    assert.deepEqual(await viewer.violations(), []);
    amicis.signal("SIGCONT");
    await viewer.awaitText("#summary", /^All well$/);
    await viewer.awaitText("#link", /^live$/);
    assert.deepEqual(viewer.faults(), []);
  });

  it("asks again when it was refused, until it is one of the viewers", async () => {
    await using amicis = await start();
    const url = `http://127.0.0.1:${amicis.port}/status`;
    const leave = new AbortController();
    const others = await Promise.all(
      Array.from({ length: 50 }, () => fetch(`${url}/events`, { signal: leave.signal })),
    );
    assert.deepEqual([...new Set(others.map(({ status }) => status))], [200]);
    await using viewer = await browser.openEarly(url);
    await viewer.awaitText("#link", /^reconnecting$/);
    leave.abort();
    await viewer.awaitText("#link", /^live$/);
    assert.deepEqual(viewer.faults(lost), []);
  });
});
