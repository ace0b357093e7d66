/** Reading when to come back, from errors and from HTTP. */
import assert from "node:assert/strict";
import { Duration } from "effect";
import fc from "fast-check";
import * as RetryAfter from "../../src/resilience/RetryAfter.ts";
import { describe, it } from "../support/it.ts";

/** 6 November 1994, 08:49:37 GMT: the example of RFC 9110. */
const instant = 784_111_777_000;

const millisOf = (field: string, now = instant) => {
  const wait = RetryAfter.parse(field, now);
  return wait === undefined ? undefined : Duration.toMillis(wait);
};

describe("RetryAfter.parse()", () => {
  it("reads whole seconds", () => {
    assert.equal(millisOf("120"), 120_000);
    assert.equal(millisOf(" 0 "), 0);
    assert.equal(millisOf("007"), 7_000);
  });

  it("reads a date in each of the three forms of RFC 9110, relative to now", () => {
    for (
      const field of [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
      ]
    ) {
      assert.equal(millisOf(field, instant - 90_000), 90_000, field);
      assert.equal(millisOf(field, instant + 1), 0, field);
    }
  });

  it("takes a two-digit year more than 50 years ahead for a past one", () => {
    const now = Date.UTC(2026, 0, 1);
    assert.equal(millisOf("Thursday, 01-Jan-26 00:00:10 GMT", now), 10_000);
    assert.equal(millisOf("Saturday, 01-Jan-77 00:00:10 GMT", now), 0);
    // Exactly 50 years ahead it is believed.
    assert.equal(millisOf("Wednesday, 01-Jan-76 00:00:10 GMT", now), 3_600_000);
  });

  it("reads the first and the last second of a day, leap seconds, and days of two digits", () => {
    assert.equal(
      millisOf("Sun, 06 Nov 1994 23:59:60 GMT", Date.UTC(1994, 10, 6, 23, 59, 59)),
      1_000,
    );
    assert.equal(
      millisOf("Mon, 07 Nov 1994 00:00:00 GMT", Date.UTC(1994, 10, 6, 23, 59, 59)),
      1_000,
    );
    assert.equal(millisOf("Wed Nov 16 08:49:37 1994", Date.UTC(1994, 10, 16, 8, 49, 36)), 1_000);
    assert.equal(millisOf("Wednesday, 16-Nov-94 08:49:37 GMT", Date.UTC(1994, 10, 16)), 3_600_000);
  });

  it("believes no more than an hour", () => {
    assert.equal(millisOf("999999999999999999999"), 3_600_000);
    assert.equal(millisOf("Fri, 31 Dec 9999 23:59:59 GMT"), 3_600_000);
  });

  it("ignores anything else", () => {
    for (
      const field of [
        "",
        "-1",
        "1.5",
        "1e3",
        "soon",
        "0x10",
        "120s",
        "1994-11-06",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "x Sun, 06 Nov 1994 08:49:37 GMT",
        "xSun, 06 Nov 1994 08:49:37 GMT",
        "xSunday, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT 1",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "xSun Nov  6 08:49:37 1994",
        "Sun Nov  6 08:49:37 19941",
        "Sun Nov x6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 GMT, 120",
      ]
    ) assert.equal(millisOf(field), undefined, field);
  });

  it("gives a wait from 0 to 1 hour or nothing for any text, and never throws", () => {
    fc.assert(fc.property(fc.string(), fc.integer(), (field, now) => {
      const wait = millisOf(field, now);
      assert.ok(wait === undefined || (wait >= 0 && wait <= 3_600_000));
    }));
  });

  it("reads back what Date writes", () => {
    fc.assert(fc.property(fc.date({ min: new Date(0), max: new Date(4e12) }), (date) => {
      const now = Math.floor(date.getTime() / 1_000) * 1_000 - 5_000;
      assert.equal(millisOf(date.toUTCString(), now), 5_000);
    }));
  });
});

describe("RetryAfter.retryAfterOf()", () => {
  it("finds a duration on any object and nothing elsewhere", () => {
    const wait = Duration.seconds(3);
    assert.equal(RetryAfter.retryAfterOf({ retryAfter: wait }), wait);
    for (const other of [undefined, null, 3, "3", {}, { retryAfter: 3 }, { retryAfter: "3 s" }]) {
      assert.equal(RetryAfter.retryAfterOf(other), undefined);
    }
  });
});
