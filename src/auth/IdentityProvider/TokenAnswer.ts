/**
 * What a token endpoint's answer means: an issued token (RFC 8693 §2.2.1), or one failure per way
 * in which it can be none. Nothing of an answer is trusted, logged or passed on unchecked.
 */
import { Duration, Option, Redacted } from "effect";
import { TransientFailure } from "../../resilience/DependencyFailure.ts";
import * as RetryAfter from "../../resilience/RetryAfter.ts";
import {
  EndpointThrottled,
  type IdentityFailure,
  InvalidAnswer,
  type IssuedToken,
  TokenRejected,
} from "../IdentityProvider.ts";
import type { Answer } from "./OutboundRequest.ts";

/** Longest life of a token accepted, in seconds: 365 days. */
const longestLife = 31_536_000;

/** The body as a JSON object, or nothing. */
const objectOf = (body: Uint8Array | undefined): object | undefined => {
  const text = Option.liftThrowable((bytes: Uint8Array) =>
    new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  );
  const json = Option.liftThrowable((text: string): unknown => JSON.parse(text));
  const value = Option.fromNullable(body).pipe(Option.flatMap(text), Option.flatMap(json));
  return Option.isSome(value) && typeof value.value === "object" && value.value !== null &&
      !Array.isArray(value.value)
    ? value.value
    : undefined;
};

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";

/** The endpoint's OAuth error code, only where it looks like one. */
const codeOf = (answer: Answer): { readonly code?: string } => {
  const json = objectOf(answer.body);
  const code: unknown = json === undefined ? undefined : Reflect.get(json, "error");
  return typeof code === "string" && /^[a-z_]{1,64}$/.test(code) ? { code } : {};
};

const issued = (answer: Answer): IssuedToken | InvalidAnswer => {
  const invalid = (reason: string) => new InvalidAnswer({ status: answer.status, reason });
  const type = (answer.header("content-type") ?? "").split(";", 1).join("").trim().toLowerCase();
  if (type !== "application/json") return invalid("its content type is not application/json");
  if (answer.body === undefined) return invalid("it is larger than 64 KiB");
  const json = objectOf(answer.body);
  if (json === undefined) return invalid("it is not a JSON object");
  const accessToken: unknown = Reflect.get(json, "access_token");
  const tokenType: unknown = Reflect.get(json, "token_type");
  const expiresIn: unknown = Reflect.get(json, "expires_in");
  if (!isText(accessToken)) return invalid("its access_token is not a string");
  if (!isText(tokenType)) return invalid("its token_type is not a string");
  if (typeof expiresIn !== "number" || !Number.isInteger(expiresIn)) {
    return invalid("its expires_in is not a whole number");
  }
  if (expiresIn < 1 || expiresIn > longestLife) {
    return invalid(`its expires_in is not from 1 to ${longestLife}`);
  }
  return { accessToken: Redacted.make(accessToken), tokenType, expiresIn };
};

/** The token of an answer, or its failure; `now` is the wall clock, in epoch milliseconds. */
export const interpret = (answer: Answer, now: number): IssuedToken | IdentityFailure => {
  const { status } = answer;
  if (status === 200) return issued(answer);
  if (status === 400 || status === 401 || status === 403) {
    return new TokenRejected({ status, ...codeOf(answer) });
  }
  const retryAfter = RetryAfter.parse(answer.header("retry-after") ?? "", now);
  if (status === 429) {
    return new EndpointThrottled({ retryAfter: retryAfter ?? Duration.seconds(1) });
  }
  if (status === 408 || status >= 500) {
    return new TransientFailure({
      dependency: "token-exchange",
      operation: "token_exchange",
      reason: `status ${status}`,
      timedOut: false,
      ...(retryAfter === undefined ? {} : { retryAfter }),
      cause: null,
    });
  }
  return new InvalidAnswer({ status, reason: `its status is ${status}` });
};
