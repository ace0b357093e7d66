/**
 * How the text of a setting becomes its value: each reader answers the value, or what would have
 * been right, as the rest of a sentence that begins with the setting's name.
 */
import { Duration, Either, Option, Redacted } from "effect";

const units: Readonly<Record<string, string>> = {
  ms: "millis",
  s: "seconds",
  m: "minutes",
  h: "hours",
  d: "days",
};

/** `250ms`, `5s`, `1.5h`, or what Effect reads: `5 seconds`. */
export const duration = (text: string): Either.Either<Duration.Duration, string> => {
  const short = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  const long = short === null ? text : `${short[1]} ${units[short[2] ?? "s"]}`;
  const decoded = text.startsWith("-") ? Option.none() : Duration.decodeUnknown(long);
  return Either.fromOption(decoded, () => "must be a duration such as 250ms, 5s or 1h");
};

export const positiveDuration = (text: string) =>
  Either.filterOrLeft(
    duration(text),
    (value) => Duration.toMillis(value) > 0 && Duration.isFinite(value),
    () => "must be a finite duration of more than 0, such as 250ms, 5s or 1h",
  );

export const whole = (from: number, to: number = Number.MAX_SAFE_INTEGER) => (text: string) => {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  const range = to === Number.MAX_SAFE_INTEGER ? `of at least ${from}` : `from ${from} to ${to}`;
  return value >= from && value <= to
    ? Either.right(value)
    : Either.left(`must be a whole number ${range}`);
};

export const decimal = (rule: string, isLegal: (value: number) => boolean) => (text: string) => {
  const value = /^\d+(\.\d+)?(e-\d+)?$/.test(text) ? Number(text) : NaN;
  return isLegal(value) ? Either.right(value) : Either.left(`must be ${rule}`);
};

export const text = (value: string): Either.Either<string, string> =>
  value === "" ? Either.left("must not be empty") : Either.right(value);

export const list = (value: string): Either.Either<ReadonlyArray<string>, string> =>
  Either.right(value.split(",").map((part) => part.trim()).filter((part) => part !== ""));

export const secret = (value: string): Either.Either<Redacted.Redacted<string>, string> =>
  Either.right(Redacted.make(value));

export const secretOf = (minimumBytes: number) => (value: string) =>
  new TextEncoder().encode(value).length < minimumBytes
    ? Either.left(`must have at least ${minimumBytes} bytes`)
    : secret(value);

/** A secret that is sent in a header: others could never be. */
export const headerSecretOf = (minimumBytes: number) => (value: string) =>
  /^[\x21-\x7e]+$/.test(value)
    ? secretOf(minimumBytes)(value)
    : Either.left("must be of visible ASCII characters without blanks");

/** An address to be fetched. One with credentials never could be, and would be quoted in errors. */
export const urlOf =
  (...schemes: ReadonlyArray<string>) => (value: string): Either.Either<string, string> => {
    const url = URL.parse(value);
    if (url === null || !schemes.includes(url.protocol.slice(0, -1))) {
      const beginnings = schemes.map((scheme) => `${scheme}://`).join(" or ");
      return Either.left(`must be a URL that begins with ${beginnings}`);
    }
    return url.username + url.password === ""
      ? Either.right(value)
      : Either.left("must hold no credentials");
  };

/** A mongodb:// address may name several hosts, which `URL` cannot read: only the scheme is checked. */
export const secretUrlOf = (...schemes: ReadonlyArray<string>) => (value: string) =>
  schemes.some((scheme) => value.startsWith(`${scheme}://`) && value.length > scheme.length + 3)
    ? secret(value)
    : Either.left(`must begin with ${schemes.map((s) => `${s}://`).join(" or ")}`);

export const oneOf = <const A extends string>(...values: ReadonlyArray<A>) => (value: string) => {
  const found = values.find((known) => known === value);
  return found === undefined
    ? Either.left(`must be one of ${values.join(", ")}`)
    : Either.right(found);
};

export const flag = (value: string) =>
  Either.map(oneOf("true", "false")(value), (word) => word === "true");

export const nullable = <A>(parse: (text: string) => Either.Either<A, string>) => (value: string) =>
  value === "off" ? Either.right(null) : parse(value);
