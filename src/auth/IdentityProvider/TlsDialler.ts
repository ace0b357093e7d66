/**
 * TLS connections, by node:tls, whose sockets end at once: a `Deno.TlsConn` that is closed within its
 * handshake keeps its socket for as long as the other side does, and an endpoint that takes
 * connections and hangs would cost a descriptor for each attempt.
 */
import { isIP } from "node:net";
import { connect, rootCertificates, type TLSSocket } from "node:tls";
import type { Dialler } from "./Dialling.ts";

/** Whom to speak to, and whom to trust. */
export interface Peer {
  /** The name that the certificate must be for. */
  readonly host: string;
  /** PEM certificates trusted beside the well-known ones. */
  readonly authorities: ReadonlyArray<string>;
}

/** Connections on which the peer has proved its name. */
export const tlsTo = ({ host, authorities }: Peer): Dialler<TLSSocket> => ({
  hangUp: (socket) => void socket.destroy(),
  dial: (address, port, signal) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const socket = connect({
        host: address,
        port,
        ...(isIP(host) === 0 ? { servername: host } : {}),
        // The list costs milliseconds to read, and is what is trusted without it.
        ...(authorities.length === 0 ? {} : { ca: [...rootCertificates, ...authorities] }),
        ALPNProtocols: ["http/1.1"],
      });
      const settle = (act: () => void) => {
        signal.removeEventListener("abort", abort);
        act();
      };
      const fail = (error: unknown) =>
        settle(() => {
          socket.destroy();
          reject(error);
        });
      const abort = () => fail(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      socket.once("secureConnect", () => settle(() => resolve(socket)));
      // Also what comes after the end must find a listener.
      socket.on("error", fail);
      socket.once("close", () => fail(new Deno.errors.UnexpectedEof()));
    }),
});
