/**
 * A real Chromium that looks at a status page, and everything on the way there that should not have
 * happened: errors on the console, violations of the page's policy, requests to other origins.
 */
import assert from "node:assert/strict";
import axe from "axe-core";
import {
  type Browser as Chromium,
  type BrowserContextOptions,
  chromium,
  type Locator,
  type Page,
} from "playwright-core";
import { eventually } from "../../support/eventually.ts";
import { toolPath } from "../../support/Tools.ts";

/** It talks to nobody but the page, and shows every run the same picture. */
const flags = [
  "--no-sandbox",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--hide-scrollbars",
];

/** How the viewer's screen is. */
export interface Screen {
  readonly width?: number;
  readonly height?: number;
  readonly scheme?: "light" | "dark";
  /** A phone: fingers for a mouse, and twice the dots. */
  readonly isPhone?: boolean;
}

/** A browser of one test file. */
export class Browser implements AsyncDisposable {
  readonly #chromium: Chromium;

  private constructor(chromium: Chromium) {
    this.#chromium = chromium;
  }

  static async launch(): Promise<Browser> {
    return new Browser(
      await chromium.launch({ executablePath: toolPath("chromium"), args: flags }),
    );
  }

  /** Opens a page in a profile of its own, and waits for its first picture. */
  async open(url: string, screen: Screen = {}): Promise<Viewer> {
    const viewer = await this.openEarly(url, screen);
    await viewer.awaitText("#link", /^live$/);
    return viewer;
  }

  /** The same without the waiting. */
  async openEarly(url: string, screen: Screen = {}): Promise<Viewer> {
    const { width = 1280, height = 800, scheme = "light", isPhone = false } = screen;
    const options: BrowserContextOptions = {
      viewport: { width, height },
      colorScheme: scheme,
      locale: "en-GB",
      ...(isPhone ? { isMobile: true, hasTouch: true, deviceScaleFactor: 2 } : {}),
    };
    const context = await this.#chromium.newContext(options);
    const viewer = new Viewer(await context.newPage(), new URL(url).origin);
    await viewer.page.goto(url);
    return viewer;
  }

  async close(): Promise<void> {
    await this.#chromium.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** One page, open. */
export class Viewer implements AsyncDisposable {
  readonly page: Page;
  readonly #faults: Array<string> = [];

  constructor(page: Page, origin: string) {
    this.page = page;
    page.on("console", (message) => {
      // Chromium reports a violated policy as an error, too.
      if (["error", "warning"].includes(message.type())) this.#faults.push(message.text());
    });
    page.on("pageerror", (error) => this.#faults.push(String(error)));
    page.on("request", (request) => {
      const isOwn = request.url().startsWith(`${origin}/`) || request.url().startsWith("data:");
      if (!isOwn) this.#faults.push(`Request to ${request.url()}`);
    });
  }

  /** The card of a breaker. */
  card(name: string): Locator {
    return this.page.locator(".card").filter({
      has: this.page.locator(".name").getByText(name, { exact: true }),
    });
  }

  /** The text of what the selector finds within the page, without the spaces around it. */
  async text(selector: string): Promise<string> {
    return (await this.page.locator(selector).innerText()).trim();
  }

  /** Waits until the text is like that, and gives it. */
  async awaitText(selector: string | Locator, like: RegExp): Promise<string> {
    const place = typeof selector === "string" ? this.page.locator(selector) : selector;
    return await eventually(async () => {
      // What is only heard has no innerText.
      const text = (await place.textContent({ timeout: 1_000 }) ?? "").trim();
      assert.match(text, like);
      return text;
    }, { within: "20 seconds" });
  }

  /** Waits until the breaker's card shows the state. */
  async awaitState(breaker: string, state: "closed" | "open" | "half-open"): Promise<void> {
    await this.awaitText(this.card(breaker).locator(".state"), new RegExp(`^${state}$`));
  }

  /** The faults so far, but for those that the test caused on purpose. */
  faults(but?: RegExp): ReadonlyArray<string> {
    return this.#faults.filter((fault) => but === undefined || !but.test(fault));
  }

  /** What axe-core finds wrong with the page as it is now, by WCAG 2.2 A and AA and its own rules. */
  async violations(): Promise<ReadonlyArray<string>> {
    if (!await this.page.evaluate<boolean>("'axe' in globalThis")) {
      await this.page.evaluate(axe.source);
    }
    const { violations } = await this.page.evaluate<axe.AxeResults>("axe.run(document)");
    return violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id}: ${help}: ${target} ${failureSummary}`)
    );
  }

  /** How far the page can be scrolled sideways. */
  async overflow(): Promise<number> {
    return await this.page.evaluate<number>(
      "document.documentElement.scrollWidth - document.documentElement.clientWidth",
    );
  }

  /** What has the focus: its label, text or name. */
  async focused(): Promise<string> {
    return await this.page.evaluate<string>(
      `(({ id, ariaLabel, textContent }) => id || ariaLabel || textContent)(document.activeElement)`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close();
  }
}
