/**
 * What Deno's and Node's sockets say when a connection fails, for drivers that pass it on raw.
 */

/** System error codes of a connection that failed; all of them may be gone a moment later. */
const networkCodes: ReadonlySet<string> = new Set([
  "EPIPE",
  "ECONNRESET",
  "ECONNREFUSED",
  "ECONNABORTED",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
  "ENOTFOUND",
  "ENOTCONN",
  "EAI_AGAIN",
  "EMFILE",
]);

/** Messages of socket errors that carry no code; the first is Deno's for a peer that went away. */
const networkMessages = [
  "This socket has been ended by the other party",
  "socket hang up",
  "before secure TLS connection was established",
];

/** `error.code` when it is a text, `undefined` otherwise. */
export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;

/** The system's code for a failed connection (`ECONNRESET`), or `undefined` for any other error. */
export const networkCode = (error: unknown): string | undefined => {
  const code = codeOf(error);
  if (code !== undefined && networkCodes.has(code)) return code;
  if (!(error instanceof Error)) return undefined;
  return networkMessages.some((text) => error.message.includes(text)) ? "EPIPE" : undefined;
};

/** True for the codes by which OpenSSL, rustls and Node refuse a peer's certificate. */
export const isCertificateError = (error: unknown): boolean => {
  const text = error instanceof Error ? `${codeOf(error) ?? ""} ${error.message}` : "";
  return /certificate|CERT_|SELF_SIGNED|UnknownIssuer|UNABLE_TO_VERIFY|ERR_TLS/i.test(text);
};
