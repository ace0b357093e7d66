/**
 * How a setting is declared: by name, reader, default and description at once, so that the table of
 * the README and the list of variables cannot miss one.
 *
 * Settings are read by plain functions: Effect's `Config`, which joins them one by one, took some
 * 15 ms of each start for the 170 of them.
 */
import { Either } from "effect";

/** How a variable is asked for. */
export type Get = (name: string) => string | undefined;

/** Reads one or more variables: the value, or one line for each of them that cannot be used. */
export type Setting<A> = (get: Get) => Either.Either<A, ReadonlyArray<string>>;

/** What a setting is when it can be read. */
export type ValueOf<S> = S extends Setting<infer A> ? A : never;

/** One row of the README's table. */
export interface Row {
  readonly name: string;
  readonly default: string;
  readonly description: string;
}

/** In the order of declaration. */
export const rows: Array<Row> = [];
/** Every variable that is read, in the order of declaration. */
export const names: Array<string> = [];

/** Adds a row without reading anything. */
export const note = (name: string, fallback: string, description: string) => {
  rows.push({ name, default: fallback, description });
};

/**
 * Reads one variable by `parse`, which answers the value or what would have been right. Unset or
 * blank it is the fallback.
 */
export const read = <A, B>(
  name: string,
  parse: (text: string) => Either.Either<A, string>,
  fallback: B,
): Setting<A | B> => {
  names.push(name);
  return (get) => {
    const text = get(name)?.trim() ?? "";
    if (text === "") return Either.right(fallback);
    return Either.mapLeft(parse(text), (rule) => [`${name} ${rule}`]);
  };
};

/** A setting with a default, which must be legal itself. */
export const declare = <A>(
  name: string,
  parse: (text: string) => Either.Either<A, string>,
  fallback: string,
  description: string,
): Setting<A> => {
  note(name, fallback, description);
  const value = Either.getOrThrowWith(
    parse(fallback),
    (rule) => new Error(`The default of ${name} ${rule}`),
  );
  return read(name, parse, value);
};

/** A setting that may be unset; `shown` is what the table says then. */
export const optional = <A>(
  name: string,
  parse: (text: string) => Either.Either<A, string>,
  shown: string,
  description: string,
): Setting<A | undefined> => {
  note(name, shown, description);
  return read(name, parse, undefined);
};

/** All of them, or every problem of any. */
export const all = <Settings extends Readonly<Record<string, Setting<unknown>>>>(
  settings: Settings,
): Setting<{ readonly [Name in keyof Settings]: ValueOf<Settings[Name]> }> =>
(get) => {
  const problems: Array<string> = [];
  const values = Object.entries(settings).map(([name, setting]) => {
    const value = setting(get);
    if (Either.isLeft(value)) problems.push(...value.left);
    return [name, Either.getOrUndefined(value)];
  });
  // Each value is what the setting of that name gave: the type cannot follow the entries.
  return problems.length === 0 ? Either.right(Object.fromEntries(values)) : Either.left(problems);
};
