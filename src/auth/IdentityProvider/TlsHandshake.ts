/**
 * A TLS handshake for its own sake, to learn whether an endpoint would be spoken to.
 *
 * By node:tls, whose sockets end at once: a `Deno.TlsConn` that is closed within its handshake keeps
 * its connection for as long as the other side does, and who probes again and again must not.
 */
import { isIP } from "node:net";
import { connect, rootCertificates } from "node:tls";

/** With whom, and whom to trust. */
export interface Peer {
  /** The address that was checked. */
  readonly address: string;
  readonly port: number;
  /** The name that the certificate must be for. */
  readonly host: string;
  /** PEM certificates trusted beside the well-known ones. */
  readonly authorities: ReadonlyArray<string>;
}

/** Settles when the handshake is done or has failed, with the connection ended. */
export const shakeHands = (
  { address, port, host, authorities }: Peer,
  signal: AbortSignal,
): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const socket = connect({
      host: address,
      port,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ca: [...rootCertificates, ...authorities],
      ALPNProtocols: ["http/1.1"],
    });
    const settle = (act: () => void) => {
      signal.removeEventListener("abort", abort);
      socket.destroy();
      act();
    };
    const abort = () => settle(() => reject(signal.reason));
    signal.addEventListener("abort", abort, { once: true });
    socket.once("secureConnect", () => settle(resolve));
    // Also what comes after the end must find a listener.
    socket.on("error", (error) => settle(() => reject(error)));
    socket.once("close", () => settle(() => reject(new Deno.errors.UnexpectedEof())));
  });
