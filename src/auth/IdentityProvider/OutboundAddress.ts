/**
 * Which hosts a token may be sent to. Tenants' endpoints come from a database, so a wrong or
 * malicious entry must not reach what only this machine can: link-local and metadata services.
 *
 * Private ranges are legal (an endpoint may live in the same cluster). A name is judged twice: as
 * it is written, and by every address it resolves to at the moment of connecting. IPv6 forms that
 * carry an IPv4 address (mapped, compatible, NAT64, 6to4) are judged by that address.
 */
import { BlockList, isIP } from "node:net";

/** Names of metadata services, refused even where a proxy's resolver gives them other addresses. */
const metadataNames: ReadonlySet<string> = new Set([
  "metadata.google.internal",
  "metadata.goog",
  "metadata.tencentyun.com",
  "instance-data.ec2.internal",
]);

const forbidden = new BlockList();
forbidden.addSubnet("0.0.0.0", 8, "ipv4"); // this host, unspecified
forbidden.addSubnet("169.254.0.0", 16, "ipv4"); // link-local: AWS, GCP, Azure, DigitalOcean, …
forbidden.addSubnet("224.0.0.0", 4, "ipv4"); // multicast
forbidden.addSubnet("240.0.0.0", 4, "ipv4"); // reserved, broadcast
forbidden.addAddress("100.100.100.200", "ipv4"); // Alibaba metadata
forbidden.addAddress("192.0.0.192", "ipv4"); // Oracle metadata
forbidden.addAddress("168.63.129.16", "ipv4"); // Azure host services
forbidden.addAddress("::", "ipv6");
forbidden.addSubnet("fe80::", 10, "ipv6"); // link-local
forbidden.addSubnet("fec0::", 10, "ipv6"); // site-local, deprecated
forbidden.addSubnet("ff00::", 8, "ipv6"); // multicast
forbidden.addSubnet("fd00:ec2::", 32, "ipv6"); // AWS: metadata, pod identity, time
forbidden.addAddress("fd20:ce::254", "ipv6"); // GCP metadata
forbidden.addAddress("fd00:c1::a9fe:a9fe", "ipv6"); // Oracle metadata

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** The eight groups of an IPv6 address in text, or `undefined` if it is none. */
const groupsOf = (address: string): ReadonlyArray<number> | undefined => {
  // The URL parser writes every IPv6 address in one way: lower case, no dotted part.
  const host = URL.parse(`http://[${address.replace(/%.*$/, "")}]/`)?.hostname.slice(1, -1);
  if (host === undefined) return undefined;
  const [head = "", tail] = host.split("::");
  const parse = (part: string) =>
    part === "" ? [] : part.split(":").map((group) => parseInt(group, 16));
  const before = parse(head);
  const after = tail === undefined ? [] : parse(tail);
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
};

const dotted = (high = 0, low = 0): string =>
  [high >> 8, high & 255, low >> 8, low & 255].join(".");

/** The IPv4 address inside an IPv6 one, for the forms a network may route to it. */
const embedded = (groups: ReadonlyArray<number>): string | undefined => {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = groups;
  if ((a | b | c | d) === 0 && (e === 0 || e === 0xffff) && (f === 0 || f === 0xffff)) {
    // Mapped, translated and compatible forms; :: and ::1 are addresses of their own.
    return e === 0 && f === 0 && g === 0 && h <= 1 ? undefined : dotted(g, h);
  }
  if (a === 0x64 && b === 0xff9b) return dotted(g, h);
  return a === 0x2002 ? dotted(b, c) : undefined;
};

/** How an address is judged. */
export type Verdict = "allowed" | "loopback" | "forbidden";

/** The verdict on one resolved address or literal; what is no address is forbidden. */
export const judge = (address: string): Verdict => {
  const version = isIP(address.replace(/%.*$/, ""));
  if (version === 0) return "forbidden";
  if (version === 6) {
    const groups = groupsOf(address);
    if (groups === undefined) return "forbidden";
    const inner = embedded(groups);
    if (inner !== undefined) return judge(inner);
    const plain = groups.map((group) => group.toString(16)).join(":");
    if (loopback.check(plain, "ipv6")) return "loopback";
    return forbidden.check(plain, "ipv6") ? "forbidden" : "allowed";
  }
  if (loopback.check(address, "ipv4")) return "loopback";
  return forbidden.check(address, "ipv4") ? "forbidden" : "allowed";
};

/** An endpoint fit to be called. */
export interface Target {
  readonly isTls: boolean;
  /** Host name without brackets or trailing dot, or an address literal. */
  readonly host: string;
  readonly port: number;
  /** Path with query. */
  readonly path: string;
  /** What the Host header must say. */
  readonly authority: string;
  /** True when only loopback addresses will do, because the scheme is http. */
  readonly loopbackOnly: boolean;
}

/** The endpoint, or the rule it breaks in words fit for a log. */
export const parse = (endpoint: string, allowInsecure: boolean): Target | string => {
  const url = URL.parse(endpoint);
  if (url === null) return "it is not a URL";
  if (url.protocol !== "https:" && url.protocol !== "http:") return "its scheme is not https";
  if (url.username !== "" || url.password !== "") return "it holds credentials";
  // The URL parser has turned decimal, octal and hexadecimal IPv4 forms into dotted ones.
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
  if (host === "") return "it has no host";
  if (metadataNames.has(host)) return "its host is a metadata service";
  const isLiteral = isIP(host) !== 0;
  const verdict = isLiteral ? judge(host) : "allowed";
  if (verdict === "forbidden") return "its address is forbidden";
  const isTls = url.protocol === "https:";
  const loopbackOnly = !isTls && !allowInsecure;
  const isLocal = verdict === "loopback" || host === "localhost" || host.endsWith(".localhost");
  if (loopbackOnly && !isLocal) return "its scheme is not https";
  return {
    isTls,
    host,
    port: url.port === "" ? (isTls ? 443 : 80) : Number(url.port),
    path: url.pathname + url.search,
    authority: url.host,
    loopbackOnly,
  };
};

/** The rule that resolved addresses break, or `undefined` when every one may be connected to. */
export const objection = (
  target: Pick<Target, "loopbackOnly">,
  addresses: ReadonlyArray<string>,
): string | undefined => {
  const verdicts = addresses.map(judge);
  if (verdicts.includes("forbidden")) return "its name resolves to a forbidden address";
  if (target.loopbackOnly && verdicts.includes("allowed")) return "its scheme is not https";
  return undefined;
};
