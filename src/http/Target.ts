/**
 * Path and query of a request, cut out of its address by hand: a `URL` object costs several
 * microseconds and resolves dots that a proxy in front of us may have read differently.
 */

/** Longest query accepted, in characters as sent. */
export const maxQueryLength = 8192;

/** Where the path begins in an absolute address; its length when there is none. */
export const pathStart = (url: string): number => {
  const authority = url.indexOf("://") + 3;
  const start = url.indexOf("/", authority);
  return start < 0 ? url.length : start;
};

/** The address is put together from the Host header as it came: one with these moves the path. */
export const isLegalHost = (host: string): boolean => {
  for (let i = 0; i < host.length; i++) {
    const code = host.charCodeAt(i);
    // / ? # \ @
    if (code === 0x2f || code === 0x3f || code === 0x23 || code === 0x5c || code === 0x40) {
      return false;
    }
  }
  return true;
};

/** Values of the query's parameters; one that is given several times is an array. */
export type QueryParams = Record<string, string | Array<string>>;

/** As browsers and `URLSearchParams` read it: `+` is a space, a bad escape stands for itself. */
export const parseQuery = (query: string): QueryParams => {
  // No prototype: the names are the caller's.
  const params: QueryParams = Object.create(null);
  if (query === "") return params;
  const pairs = query.includes("&") ? query.split("&") : [query];
  for (const pair of pairs) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? "" : decode(pair.slice(equals + 1));
    const known = params[name];
    if (known === undefined) params[name] = value;
    else if (typeof known === "string") params[name] = [known, value];
    else known.push(value);
  }
  return params;
};

const decode = (text: string): string => {
  if (!text.includes("%") && !text.includes("+")) return text;
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return new URLSearchParams(`v=${text}`).get("v") ?? "";
  }
};
