/**
 * From a path to what is there. Paths without parameters are one look-up in a `Map`; the few others
 * are compared segment by segment, each decoded on its own, so that an encoded slash stays inside
 * its segment. What is not valid percent-encoding is no literal and no parameter's value.
 */

/** Values of the parameters of a path; `null` for one that is not valid percent-encoding. */
export type PathParams = Readonly<Record<string, string | null>>;

/** An address: what its methods lead to. */
export interface Place<A> {
  /** As declared, parameters as `:name`; bounded, so fit for a metric label. */
  readonly path: string;
  readonly methods: ReadonlyMap<string, A>;
  /** For the `Allow` header: with HEAD where there is GET, and OPTIONS. */
  readonly allow: string;
}

/** A place and the parameters that led to it. */
export interface Match<A> {
  readonly place: Place<A>;
  readonly params: PathParams;
}

/** One declared address with one method. */
export interface Declaration<A> {
  readonly method: string;
  readonly path: string;
  readonly target: A;
}

interface Pattern<A> {
  readonly segments: ReadonlyArray<{ readonly literal: string } | { readonly param: string }>;
  readonly place: Place<A>;
}

const noParams: PathParams = Object.freeze({});

/** Finds a place by the raw path of a request; `undefined` when there is none. */
export type Router<A> = (path: string) => Match<A> | undefined;

/** Two declarations of the same method and path, or a path that cannot be matched: a defect. */
export const make = <A>(declarations: ReadonlyArray<Declaration<A>>): Router<A> => {
  const byPath = new Map<string, Map<string, A>>();
  for (const { method, path, target } of declarations) {
    const methods = byPath.get(path) ?? new Map<string, A>();
    if (methods.has(method)) throw new Error(`Cannot declare "${method} ${path}" twice`);
    byPath.set(path, methods.set(method, target));
  }
  const literal = new Map<string, Match<A>>();
  const patterns: Array<Pattern<A>> = [];
  for (const [path, methods] of byPath) {
    const place = { path, methods, allow: allowOf(methods) };
    if (path.includes(":")) patterns.push({ segments: segmentsOf(path), place });
    else literal.set(path, { place, params: noParams });
  }
  return (path) => {
    const found = literal.get(path);
    if (found !== undefined) return found;
    const segments = path.split("/");
    for (const pattern of patterns) {
      const match = matchPattern(pattern, segments);
      if (match !== undefined) return match;
    }
    // Only now, since hardly anyone encodes what need not be: "/%68ealth" is "/health".
    return path.includes("%") ? literal.get(normalized(segments)) : undefined;
  };
};

const allowOf = (methods: ReadonlyMap<string, unknown>): string => {
  const names = [...methods.keys()];
  if (methods.has("GET") && !methods.has("HEAD")) names.splice(names.indexOf("GET") + 1, 0, "HEAD");
  if (!methods.has("OPTIONS")) names.push("OPTIONS");
  return names.join(", ");
};

const segmentsOf = (path: string): Pattern<unknown>["segments"] =>
  path.split("/").map((segment) => {
    if (!segment.includes(":")) return { literal: segment };
    if (!/^:\w+$/.test(segment)) throw new Error(`Cannot match the path "${path}"`);
    return { param: segment.slice(1) };
  });

const matchPattern = <A>(
  { segments, place }: Pattern<A>,
  actual: ReadonlyArray<string>,
): Match<A> | undefined => {
  if (actual.length !== segments.length) return undefined;
  const params: Record<string, string | null> = {};
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i];
    const given = actual[i];
    if (segment === undefined || given === undefined) return undefined;
    if ("param" in segment) {
      if (given === "") return undefined;
      params[segment.param] = decodeSegment(given);
    } else if (given !== segment.literal && decodeSegment(given) !== segment.literal) {
      return undefined;
    }
  }
  return { place, params };
};

/** `null` when it is not valid percent-encoding of UTF-8. */
const decodeSegment = (segment: string): string | null => {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
};

/** Decoded, except that a slash inside a segment stays encoded and so matches nothing. */
const normalized = (segments: ReadonlyArray<string>): string =>
  segments.map((segment) => {
    const decoded = decodeSegment(segment);
    return decoded === null || decoded.includes("/") ? segment : decoded;
  }).join("/");
