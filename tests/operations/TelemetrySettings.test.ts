/** How the texts of telemetry's variables are read. */
import assert from "node:assert/strict";
import { Either, Redacted } from "effect";
import {
  parseAttributes,
  parseConnection,
  parseHeaders,
} from "../../src/operations/TelemetrySettings.ts";
import { describe, it } from "../support/it.ts";

const right = <A, E>(result: Either.Either<A, E>): A => Either.getOrThrow(result);

describe("TelemetrySettings", () => {
  it("parseAttributes() reads a list whose values are percent-encoded", () => {
    assert.deepEqual(right(parseAttributes("a=1, b = x%2Cy%3D ,,c=d=e,f=")), {
      a: "1",
      b: "x,y=",
      c: "d=e",
      f: "",
    });
    assert.deepEqual(right(parseAttributes("")), {});
  });

  for (const text of ["a", "=1", "a=%", "a=1,b"]) {
    it(`parseAttributes() refuses "${text}"`, () => {
      assert.match(Either.getOrThrow(Either.flip(parseAttributes(text))), /^must be a list/);
    });
  }

  it("parseHeaders() gives names in lower case and keeps values secret", () => {
    const headers = right(parseHeaders(Redacted.make("Api-Key=a%20b,x=1")));
    assert.deepEqual(Redacted.value(headers), { "api-key": "a b", x: "1" });
    assert.doesNotMatch(`${headers} ${JSON.stringify(headers)}`, /a b/);
  });

  for (const text of ["a b=1", "a=1%0d%0ab", "a=%E2%82%AC"]) {
    it(`parseHeaders() refuses "${text}" without repeating it`, () => {
      const problem = Either.getOrThrow(Either.flip(parseHeaders(Redacted.make(text))));
      assert.equal(problem, "must hold legal names and values of headers only");
    });
  }

  const key = "InstrumentationKey=0AB10000-1111-2222-3333-444444444444";
  const endpoints = {
    [key]: "https://dc.services.visualstudio.com",
    [`${key};IngestionEndpoint=https://eu-1.in.example.com/`]: "https://eu-1.in.example.com",
    [`IngestionEndpoint = http://127.0.0.1:8080 ;${key};LiveEndpoint=https://live.example/`]:
      "http://127.0.0.1:8080",
    [`${key};EndpointSuffix=example.cn;Location=east`]: "https://east.dc.example.cn",
  };
  for (const [text, endpoint] of Object.entries(endpoints)) {
    it(`parseConnection() finds ${endpoint}`, () => {
      const connection = right(parseConnection(Redacted.make(text)));
      assert.equal(connection.endpoint, endpoint);
      assert.match(Redacted.value(connection.instrumentationKey), /^0AB10000-/);
    });
  }

  for (const text of ["", "InstrumentationKey=abc", `${key};IngestionEndpoint=ftp://a`]) {
    it(`parseConnection() refuses "${text}" and does not repeat it`, () => {
      const problem = Either.getOrThrow(Either.flip(parseConnection(Redacted.make(text))));
      assert.match(problem, /^must hold /);
      assert.doesNotMatch(problem, /abc|0AB1|ftp/);
    });
  }

  it("parseConnection() refuses credentials in the address", () => {
    const text = `${key};IngestionEndpoint=https://me:hush@host/`;
    const problem = Either.getOrThrow(Either.flip(parseConnection(Redacted.make(text))));
    assert.doesNotMatch(problem, /hush/);
  });
});
