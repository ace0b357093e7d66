/**
 * Turns what the mongodb driver throws into the two failures the rest of the program knows.
 *
 * The order matters: refused credentials and duplicate keys stay permanent even when the driver puts
 * a retry label on them. Reasons are made of names and codes only, for driver messages quote hosts.
 */
import { Duration } from "effect";
import {
  MongoError,
  MongoNetworkError,
  MongoNetworkTimeoutError,
  MongoOperationTimeoutError,
  MongoServerError,
  MongoServerSelectionError,
} from "mongodb";
import {
  type DependencyFailure,
  PermanentFailure,
  TransientFailure,
} from "../resilience/DependencyFailure.ts";
import { isCertificateError, networkCode } from "./NetworkError.ts";

/** The dependency's name in failures, logs, metrics and breakers. */
export const dependency = "mongodb";

/** Server codes worth another attempt: fail-over, shutdown, overload, time limits. */
const transientCodes: ReadonlyMap<number, string> = new Map([
  [6, "HostUnreachable"],
  [7, "HostNotFound"],
  [50, "MaxTimeMSExpired"],
  [89, "NetworkTimeout"],
  [91, "ShutdownInProgress"],
  [134, "ReadConcernMajorityNotAvailableYet"],
  [189, "PrimarySteppedDown"],
  [262, "ExceededTimeLimit"],
  [9001, "SocketException"],
  [10107, "NotWritablePrimary"],
  [11600, "InterruptedAtShutdown"],
  [11602, "InterruptedDueToReplStateChange"],
  [13435, "NotPrimaryNoSecondaryOk"],
  [13436, "NotPrimaryOrSecondary"],
  [16500, "RequestRateTooLarge"],
]);

/** Those of them that say that time ran out. */
const timeoutCodes: ReadonlySet<number> = new Set([50, 89, 262]);

/** Trouble with credentials: every call will be refused, so the dependency is of no use. */
const credentialCodes: ReadonlyMap<number, string> = new Map([
  [11, "UserNotFound"],
  [13, "Unauthorized"],
  [18, "AuthenticationFailed"],
  [391, "ReauthenticationRequired"],
]);

const duplicateKey = 11000;

const retryLabels = [
  "RetryableWriteError",
  "TransientTransactionError",
  "PoolRequestedRetry",
  "SystemOverloadedError",
] as const;

/** Classifies one rejected driver call. Never throws; unknown errors are permanent. */
export const fromMongo = (operation: string, error: unknown): DependencyFailure => {
  const transient = (
    reason: string,
    { timedOut = false, retryAfter }: { timedOut?: boolean; retryAfter?: Duration.Duration } = {},
  ) =>
    new TransientFailure({
      dependency,
      operation,
      reason,
      timedOut,
      cause: error,
      ...(retryAfter === undefined ? {} : { retryAfter }),
    });
  const permanent = (reason: string, answered: boolean) =>
    new PermanentFailure({ dependency, operation, reason, answered, cause: error });

  const code = error instanceof MongoServerError ? Number(error.code) : undefined;
  if (code !== undefined) {
    const credentials = credentialCodes.get(code);
    if (credentials !== undefined) return permanent(`${credentials} (${code})`, false);
    if (code === duplicateKey) return permanent(`DuplicateKey (${code})`, true);
    const known = transientCodes.get(code);
    if (known !== undefined) {
      const retryAfter = code === 16500 ? retryAfterOf(error) : undefined;
      return transient(`${known} (${code})`, {
        timedOut: timeoutCodes.has(code),
        ...(retryAfter === undefined ? {} : { retryAfter }),
      });
    }
  }
  if (error instanceof MongoServerSelectionError) {
    return transient(`no server available in time${selectionDetail(error)}`, { timedOut: true });
  }
  if (nameOf(error) === "MongoWaitQueueTimeoutError") {
    return transient("no free connection in time", { timedOut: true });
  }
  if (
    error instanceof MongoNetworkTimeoutError || error instanceof MongoOperationTimeoutError ||
    // The driver's monitor got no answer and broke the calls that were waiting for one.
    nameOf(error) === "PoolClearedOnNetworkError"
  ) {
    return transient("no answer in time", { timedOut: true });
  }
  if (error instanceof MongoNetworkError) return transient(networkReason(error));
  const label = error instanceof MongoError
    ? retryLabels.find((name) => error.hasErrorLabel(name))
    : undefined;
  if (label !== undefined) return transient(`${describe(error)} with ${label}`);
  const network = networkCode(error);
  if (network !== undefined) {
    return transient(`connection lost (${network})`, { timedOut: network === "ETIMEDOUT" });
  }
  // A server's refusal of this one call proves it alive; a driver's own complaint proves nothing.
  return permanent(describe(error), code !== undefined);
};

/** Cosmos DB writes how long to stay away into the message: `RetryAfterMs=34, Details=…`. */
const retryAfterOf = (error: unknown): Duration.Duration | undefined => {
  const found = error instanceof Error ? /RetryAfterMs=(\d{1,9})/.exec(error.message) : null;
  return found === null ? undefined : Duration.millis(Number(found[1]));
};

/** Why the driver's monitors could not reach any server, in brackets, where it is known. */
const selectionDetail = ({ reason }: MongoServerSelectionError): string => {
  for (const { error } of reason?.servers.values() ?? []) {
    if (isCertificateError(error)) return " (certificate not trusted)";
    const code = networkCode(error) ?? networkCode(error?.cause);
    if (code !== undefined) return ` (${code})`;
  }
  return "";
};

const networkReason = (error: MongoNetworkError): string => {
  const code = networkCode(error) ?? networkCode(error.cause);
  if (code !== undefined) return `connection lost (${code})`;
  return error.name === "MongoPoolClearedError" ? "connection pool cleared" : "connection lost";
};

const nameOf = (error: unknown): string => error instanceof Error ? error.name : typeof error;

/** Names and numbers only: a driver's or server's message may quote hosts, keys and values. */
const describe = (error: unknown): string => {
  if (!(error instanceof MongoServerError)) return nameOf(error);
  const name = typeof error.codeName === "string" && /^\w{1,64}$/.test(error.codeName)
    ? error.codeName
    : error.name;
  return error.code === undefined ? name : `${name} (${Number(error.code)})`;
};
