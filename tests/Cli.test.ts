import assert from "node:assert/strict";
import { describe, it } from "@std/testing/bdd";
import { Either } from "effect";
import { type Command, parse } from "../src/Cli.ts";

describe("parse()", () => {
  const meaning: ReadonlyArray<readonly [string, Command]> = [
    ["--service=auth", { _tag: "Run", service: "auth" }],
    ["--service routing", { _tag: "Run", service: "routing" }],
    ["--service=all", { _tag: "Run", service: "all" }],
    ["", { _tag: "Run", service: undefined }],
    ["--check --service=auth", { _tag: "Check", service: "auth" }],
    ["--healthcheck", { _tag: "HealthCheck", service: undefined }],
    ["--print=alerts", { _tag: "Print", what: "alerts", service: undefined }],
    ["--print openapi --service auth", { _tag: "Print", what: "openapi", service: "auth" }],
    ["--version", { _tag: "Version" }],
    ["--service=auth --help", { _tag: "Help" }],
  ];
  for (const [line, command] of meaning) {
    it(`parse() understands "${line}"`, () => {
      assert.deepEqual(parse(line.split(" ").filter(Boolean)), Either.right(command));
    });
  }

  const wrong: ReadonlyArray<readonly [string, RegExp]> = [
    ["--service=web", /Unknown service "web"/],
    ["--service", /Unknown service ""/],
    ["--service=auth --service=auth", /twice/],
    ["--servce=auth", /Unknown argument "--servce=auth"/],
    ["routing", /Unknown argument "routing"/],
    ["--check=yes", /Unknown argument/],
    ["--print=secrets", /Cannot print "secrets"/],
    ["--print=openapi", /needs --service/],
    ["--print=openapi --service=all", /needs --service/],
    ["--check --healthcheck", /Choose one/],
  ];
  for (const [line, complaint] of wrong) {
    it(`parse() refuses "${line}"`, () => {
      const parsed = parse(line.split(" ").filter(Boolean));
      assert.ok(Either.isLeft(parsed));
      assert.match(parsed.left, complaint);
    });
  }
});
