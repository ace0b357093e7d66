import assert from "node:assert/strict";
import { isCertificateError, networkCode } from "../../src/connections/NetworkError.ts";
import { describe, it } from "../support/it.ts";
import { freePort, releasePort } from "../support/ports.ts";
import net from "node:net";

const withCode = (code: unknown, message = "") => Object.assign(new Error(message), { code });

describe("NetworkError", () => {
  it("networkCode() gives the code of a connection that was refused", async () => {
    const port = freePort();
    const error = await new Promise<unknown>((resolve) => {
      net.connect(port, "127.0.0.1").once("error", resolve);
    });
    releasePort(port);
    assert.equal(networkCode(error), "ECONNREFUSED");
  });

  it("networkCode() gives EPIPE for Deno's socket errors without a code", () => {
    const message = "This socket has been ended by the other party";
    assert.equal(networkCode(new Error(message)), "EPIPE");
  });

  it("networkCode() gives undefined for everything else", () => {
    const others = [withCode("ENOENT"), withCode(7), new Error("x"), "ECONNRESET", null, undefined];
    for (const error of others) assert.equal(networkCode(error), undefined);
  });

  it("isCertificateError() knows what TLS stacks say of certificates", () => {
    const yes = [
      withCode("SELF_SIGNED_CERT_IN_CHAIN", "self-signed certificate in certificate chain"),
      withCode("ERR_TLS_CERT_ALTNAME_INVALID"),
      withCode("UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
      withCode("CERT_HAS_EXPIRED"),
      new Error("invalid peer certificate: UnknownIssuer"),
    ];
    for (const error of yes) assert.ok(isCertificateError(error), error.message);
    const no = [withCode("ECONNRESET", "read ECONNRESET"), new Error("x"), "certificate", null];
    for (const error of no) assert.ok(!isCertificateError(error));
  });
});
