/** A connection to the first of a host's addresses that answers. */

/** Makes connections of one kind. */
export interface Dialler<C> {
  /** Aborting ends the attempt, not the connection that came of it. */
  readonly dial: (address: string, port: number, signal: AbortSignal) => Promise<C>;
  readonly hangUp: (connection: C) => void;
}

/** Connections to speak plainly over. */
export const plain: Dialler<Deno.TcpConn> = {
  dial: (hostname, port, signal) => Deno.connect({ hostname, port, signal }),
  hangUp: (connection) => connection.close(),
};

/** Milliseconds after which the next address of a name is tried beside those before (RFC 8305). */
const headStart = 250;

/**
 * The first of the addresses to answer; each next one is tried after a failure or a head start. No
 * try outlives the call: an address that swallows everything would hold on to each for minutes.
 */
export const dialFirst = <C>(
  { dial, hangUp }: Dialler<C>,
  addresses: ReadonlyArray<string>,
  port: number,
  signal: AbortSignal,
): Promise<C> =>
  new Promise((resolve, reject) => {
    const trying = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isSettled = false;
    let started = 0;
    let failed = 0;
    const settle = (act: () => void) => {
      isSettled = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      act();
      // Ends those that are under way; a connection that stands is left alone by it.
      trying.abort();
    };
    const abort = () => settle(() => reject(signal.reason));
    const next = () => {
      clearTimeout(timer);
      const address = addresses[started];
      if (isSettled || address === undefined) return;
      started += 1;
      timer = setTimeout(next, headStart);
      dial(address, port, trying.signal).then((connection) => {
        if (isSettled) hangUp(connection);
        else settle(() => resolve(connection));
      }, (error: unknown) => {
        failed += 1;
        if (isSettled) return;
        if (failed === addresses.length) settle(() => reject(error));
        else if (failed === started) next();
      });
    };
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    if (addresses.length === 0) return settle(() => reject(new Error("No address")));
    next();
  });
