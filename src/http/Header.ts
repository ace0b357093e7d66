/** Response headers that are known to be legal, so nothing below has to look at them again. */
import { Brand } from "effect";

/** Name in lower case, and value. */
export type Header = readonly [name: string, value: string] & Brand.Brand<"http/Header">;

const legal = Brand.nominal<Header>();

const legalName = /^[a-z0-9-]+$/;

// What the fetch standard refuses, too.
const illegalInValue = /[\0\n\r\u0100-\uffff]/;

/**
 * Makes headers of one name. Name and value are checked as `Headers` does, with a `TypeError` for what
 * would break the head of an answer: on the way into it nobody else looks.
 */
export const named = (name: string): (value: string) => Header => {
  if (!legalName.test(name)) throw new TypeError(`Illegal header name ${JSON.stringify(name)}`);
  return (value) => {
    // The value may be a caller's, and the log is no place for that.
    if (illegalInValue.test(value)) throw new TypeError(`Illegal value of header ${name}`);
    return legal([name, value]);
  };
};

/** One header, see {@link named}. */
export const make = (name: string, value: string): Header => named(name)(value);

/** Headers from a record of names and values. */
export const all = (headers: Readonly<Record<string, string>>): ReadonlyArray<Header> =>
  Object.entries(headers).map(([name, value]) => make(name, value));

/** No headers. */
export const none: ReadonlyArray<Header> = [];

/** Ends the connection with this answer. */
export const closing = make("connection", "close");

/** Of answers that nobody may keep. */
export const noStore = make("cache-control", "no-store");
