/** The Dockerfile by its linter, and by what the deployments take for granted. */
import { strict as assert } from "node:assert";
import { describe, it } from "@std/testing/bdd";
import { deployTools, needsTools, run } from "./support/DeployTools.ts";

const tools = await deployTools();
const path = (relative: string) => new URL(`../../${relative}`, import.meta.url).pathname;
const dockerfile = await Deno.readTextFile(path("Dockerfile"));

describe("Dockerfile", needsTools(tools.python), () => {
  const hadolint = [`${tools.python}/hadolint`, "--config", path("deploy/hadolint.yaml")];

  it("passes hadolint", async () => {
    const { success, said } = await run([...hadolint, path("Dockerfile")]);
    assert.ok(success, said);
  });

  it("would not pass with a base image that changes by itself", async () => {
    const floating = dockerfile.replace("debian:12", "debian:latest");
    assert.notEqual(floating, dockerfile);
    const { success, said } = await run([...hadolint, "-"], { stdin: floating });
    assert.equal(success, false);
    assert.match(said, /DL3007/);
  });
});

describe("Dockerfile", () => {
  const [, last = ""] = dockerfile.split(/^FROM .*distroless.*$/m);

  it("copies into the build every file that compiling reads", async () => {
    const copied = Array.from(
      dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm),
      ([, names = ""]) => names.split(" "),
    ).flat();
    for (const name of ["deno.json", "deno.lock", "src", "deploy/compile.ts"]) {
      assert.ok(copied.includes(name), name);
    }
    for (const name of copied) await Deno.stat(path(name));
  });

  it("ends as the user that the manifests name, with only the binary in it", () => {
    assert.match(last, /^USER 65532:65532$/m);
    assert.match(last, /^ENTRYPOINT \["\/amicis"\]$/m);
    assert.deepEqual(last.match(/^(COPY|ADD|RUN) .*$/gm), [
      "COPY --from=build /build/dist/amicis /amicis",
    ]);
  });
});
