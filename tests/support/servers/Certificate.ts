/**
 * A certificate authority made for one test and a certificate it signed for 127.0.0.1 and localhost.
 * Made by openssl with elliptic curve keys (about 30 ms); two of them do not trust each other.
 */
import { toolPath } from "../Tools.ts";

/** PEM texts and the files that hold them. */
export interface Certificate {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** Makes a certificate in an existing directory, which the caller removes. */
export async function makeCertificate(directory: string): Promise<Certificate> {
  const file = (name: string) => `${directory}/${name}`;
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await openssl("req", "-x509", ...key, "-days", "2", "-subj", "/CN=Amicis test authority", [
    ["-keyout", file("ca-key.pem")],
    ["-out", file("ca.pem")],
    ["-addext", "keyUsage=critical,keyCertSign"],
  ]);
  await openssl("req", "-x509", ...key, "-days", "2", "-subj", "/CN=localhost", [
    ["-CA", file("ca.pem")],
    ["-CAkey", file("ca-key.pem")],
    ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
    ["-addext", "basicConstraints=critical,CA:FALSE"],
    ["-keyout", file("key.pem")],
    ["-out", file("cert.pem")],
  ]);
  const [ca, cert, privateKey] = await Promise.all(
    ["ca.pem", "cert.pem", "key.pem"].map((name) => Deno.readTextFile(file(name))),
  );
  return {
    ca: ca ?? "",
    cert: cert ?? "",
    key: privateKey ?? "",
    caFile: file("ca.pem"),
    certFile: file("cert.pem"),
    keyFile: file("key.pem"),
  };
}

async function openssl(
  ...args: ReadonlyArray<string | ReadonlyArray<readonly [string, string]>>
): Promise<void> {
  const flat = args.flatMap((arg) => typeof arg === "string" ? [arg] : arg.flat());
  const { success, stderr } = await new Deno.Command(toolPath("openssl"), {
    args: flat,
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`openssl failed: ${new TextDecoder().decode(stderr)}`);
}
