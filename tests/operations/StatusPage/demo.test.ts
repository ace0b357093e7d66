/** Whoever runs `deno task demo` on a terminal can follow its outage on the live pages to the end. */
import assert from "node:assert/strict";
import { eventually } from "../../support/eventually.ts";
import { afterAll, beforeAll, describe, it } from "../../support/it.ts";
import { needs, toolPath } from "../../support/Tools.ts";
import { Browser, type Viewer } from "./Browser.ts";

const demo = new URL("../../demo/main.ts", import.meta.url).pathname;

/** The demo on a terminal of its own. */
class Demo implements AsyncDisposable {
  #text = "";
  readonly #child: Deno.ChildProcess;
  readonly #read: Promise<void>;

  constructor() {
    const command = `exec '${Deno.execPath()}' run -A --no-check '${demo}'`;
    this.#child = new Deno.Command(toolPath("script"), {
      args: ["--quiet", "--flush", "--return", "--command", command, "/dev/null"],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#read = this.#keep();
  }

  /** Waits until it has said something like that. */
  async awaitText(like: RegExp): Promise<RegExpMatchArray> {
    return await eventually(() => this.#text.match(like) ?? assert.fail(this.#text), {
      within: "60 seconds",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
    await this.#read;
  }

  async #keep(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of this.#child.stdout) {
      this.#text += decoder.decode(bytes, { stream: true });
    }
  }
}

describe("deno task demo", needs("chromium", "script"), () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await Browser.launch();
  });
  afterAll(() => browser?.close());

  /** Sees the breaker open, try and close, as it happens. */
  const follow = async (viewer: Viewer, breaker: string): Promise<void> => {
    await viewer.awaitState(breaker, "open");
    await viewer.awaitText(viewer.card(breaker).locator(".next-text"), /^Next trial in \d s$/);
    await viewer.awaitState(breaker, "half-open");
    await viewer.awaitState(breaker, "closed");
    await viewer.awaitText("#summary", /^All well$/);
    const events = (await viewer.page.locator("#log li span").allTextContents()).toReversed();
    const told = events.filter((text) => text.startsWith(breaker));
    assert.equal(told.length, 3, told.join("\n"));
    assert.match(told[0] ?? "", /opened: \d of \d calls failed/);
    assert.match(told[1] ?? "", /lets a few calls through to try/);
    assert.match(told[2] ?? "", /closed: calls succeed again/);
    assert.deepEqual(viewer.faults(), []);
  };

  it("shows the outage from its start to its end on the live page of each service", async () => {
    await using demo = new Demo();
    const [, routing = "", auth = ""] = await demo.awaitText(
      /live page (\S+\/status)[\s\S]+live page (\S+\/status)/,
    );
    const [one, other] = await Promise.all([browser.open(routing), browser.open(auth)]);
    await follow(one, "mongodb");
    await follow(other, "token-exchange-ikea");
    await demo.awaitText(/The story held\./);
  });
});
