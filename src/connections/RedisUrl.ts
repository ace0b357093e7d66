/**
 * The address of a Redis server as one text: `redis://[user][:password]@host[:port][/db]`, or
 * `rediss://` for TLS. Parsed here, for ioredis would let the query part overrule our settings.
 */
import { Data, Either } from "effect";

/** The parts ioredis wants. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  readonly db: number;
  /** Present for `rediss://`: the name the certificate must carry, unless the host is an address. */
  readonly tls?: { readonly servername?: string };
}

/** The text is no Redis address; `problem` is safe to print. */
export class InvalidRedisUrl extends Data.TaggedError("InvalidRedisUrl")<{
  readonly problem: string;
}> {
  override get message(): string {
    return `Invalid Redis URL: ${this.problem}`;
  }
}

const defaultPort = 6379;

/** Reads a Redis URL; database 0 and port 6379 unless it says otherwise. */
export const parseRedisUrl = (text: string): Either.Either<RedisAddress, InvalidRedisUrl> => {
  const invalid = (problem: string) => Either.left(new InvalidRedisUrl({ problem }));
  const url = URL.parse(text);
  if (url === null || !["redis:", "rediss:"].includes(url.protocol)) {
    return invalid("expected redis://[user][:password]@host[:port][/db] or rediss://…");
  }
  if (url.hostname === "") return invalid("the host is missing");
  if (url.search !== "" || url.hash !== "") return invalid("options after ? or # are not known");
  const database = /^\/?(\d{0,5})$/.exec(url.pathname)?.[1];
  if (database === undefined) return invalid("the part after / must be a database number");
  const username = decode(url.username);
  const password = decode(url.password);
  if (username === undefined || password === undefined) {
    return invalid("user or password are not percent-encoded correctly");
  }
  // URL keeps the brackets of an IPv6 address; sockets want it without.
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return Either.right({
    host,
    port: url.port === "" ? defaultPort : Number(url.port),
    db: Number(database),
    ...(username === "" ? {} : { username }),
    ...(password === "" ? {} : { password }),
    ...(url.protocol === "rediss:" ? { tls: isAddress(host) ? {} : { servername: host } } : {}),
  });
};

/** Server names of TLS must be names: an address is checked against the certificate's own list. */
const isAddress = (host: string): boolean => host.includes(":") || /^[\d.]+$/.test(host);

const decode = (part: string): string | undefined => {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
};
