/**
 * Draws the dashboard for the README from its own JSON: `deno task dashboard-picture`. Both services
 * run five minutes of load and outages on real servers, a real Prometheus answers every panel's own
 * queries, and Chromium makes `docs/images/dashboard.png` of it. Another file may be given.
 */
import { chromium } from "playwright-core";
import { toolPath } from "../../support/Tools.ts";
import { play } from "./Outages.ts";
import { page, pageWidth } from "./Page.ts";
import { record, type Recording } from "./Recording.ts";

/** Makes a PNG of what was recorded. */
export const draw = async (recording: Recording, file: string): Promise<void> => {
  const browser = await chromium.launch({
    executablePath: toolPath("chromium"),
    args: ["--no-sandbox", "--hide-scrollbars", "--disable-background-networking"],
  });
  try {
    const context = await browser.newContext({
      viewport: { width: pageWidth, height: 800 },
      deviceScaleFactor: 1.5,
    });
    const sheet = await context.newPage();
    await sheet.setContent(page(recording, ["Process"]));
    await sheet.screenshot({ path: file, fullPage: true });
  } finally {
    await browser.close();
  }
};

if (import.meta.main) {
  const images = new URL("../../../docs/images/", import.meta.url);
  await draw(await play(record), Deno.args[0] ?? new URL("dashboard.png", images).pathname);
}
