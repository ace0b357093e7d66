/**
 * Turns what ioredis rejects with into the two failures the rest of the program knows.
 *
 * Reasons hold a reply's leading code word only: the text behind it quotes keys and arguments.
 */
import {
  type DependencyFailure,
  PermanentFailure,
  TransientFailure,
} from "../resilience/DependencyFailure.ts";
import { isCertificateError, networkCode } from "./NetworkError.ts";

/** The dependency's name in failures, logs, metrics and breakers. */
export const dependency = "redis";

/** Error replies of a server that will be fine again: starting, failing over, busy, full. */
const transientReplies: ReadonlySet<string> = new Set([
  "LOADING",
  "READONLY",
  "MASTERDOWN",
  "CLUSTERDOWN",
  "TRYAGAIN",
  "BUSY",
  "OOM",
]);

/** Error replies about who we are: every call will be refused. */
const credentialReplies: ReadonlySet<string> = new Set(["NOAUTH", "WRONGPASS", "NOPERM"]);

/** Messages by which ioredis says that a command met no usable connection. */
const connectionMessages: ReadonlyArray<readonly [text: string, reason: string]> = [
  ["Stream isn't writeable", "not connected"],
  ["Connection is closed", "connection closed"],
  ["Connection is in monitoring mode", "not connected"],
  ["subscriber mode", "not connected"],
];

/** Classifies one rejected Redis call. Never throws; unknown errors are permanent. */
export const fromRedis = (operation: string, error: unknown): DependencyFailure => {
  const transient = (reason: string, timedOut = false) =>
    new TransientFailure({ dependency, operation, reason, timedOut, cause: withoutCommand(error) });
  const permanent = (reason: string, answered: boolean) =>
    new PermanentFailure({
      dependency,
      operation,
      reason,
      answered,
      cause: withoutCommand(error),
    });

  if (!(error instanceof Error)) return permanent(typeof error, false);
  if (error.name === "ReplyError") {
    const code = replyCode(error);
    if (transientReplies.has(code)) return transient(code);
    return permanent(code, !isAboutCredentials(code, error));
  }
  if (error.message === "Command timed out") return transient("no answer in time", true);
  if (error.message.startsWith("Socket timeout")) return transient("no answer in time", true);
  if (isCertificateError(error)) return permanent("certificate not trusted", false);
  const network = networkCode(error);
  if (network === "ETIMEDOUT") return transient("no connection in time", true);
  if (network !== undefined) return transient(`connection lost (${network})`);
  // In flight when the connection broke: with maxRetriesPerRequest 0 they are given up at once.
  if (error.name === "MaxRetriesPerRequestError" || error.name === "AbortError") {
    return transient("connection lost");
  }
  const known = connectionMessages.find(([text]) => error.message.includes(text));
  return known === undefined ? permanent(error.name, false) : transient(known[1]);
};

/** The first word of an error reply, if it is one of Redis's upper-case codes. */
const replyCode = (error: Error): string =>
  /^[A-Z][A-Z0-9]{1,31}\b/.exec(error.message)?.[0] ?? "ERR";

/** Servers before 6 answer a wrong password with a plain `ERR invalid password`. */
const isAboutCredentials = (code: string, error: Error): boolean =>
  credentialReplies.has(code) || (code === "ERR" && /invalid password|AUTH/.test(error.message));

/** ioredis hangs the refused command with its arguments on the error: a password, for AUTH. */
const withoutCommand = (error: unknown): unknown => {
  if (error instanceof Error) Reflect.deleteProperty(error, "command");
  return error;
};
