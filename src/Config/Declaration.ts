/**
 * How a setting is declared: by name, reader, default and description at once, so that the table of
 * the README and the list of variables cannot miss one.
 */
import { Config, ConfigError, Either } from "effect";

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

/** The name is added by `Config` itself. */
const invalid = (rule: string) => ConfigError.InvalidData([], rule);

/** A setting read by `parse`, which answers the value or what would have been right. */
export const read = <A>(name: string, parse: (text: string) => Either.Either<A, string>) => {
  names.push(name);
  return Config.mapOrFail(
    Config.string(name),
    (text) => Either.mapLeft(parse(text.trim()), invalid),
  );
};

/** A setting with a default; one whose default is no legal value must be set. */
export const declare = <A>(
  name: string,
  parse: (text: string) => Either.Either<A, string>,
  fallback: string,
  description: string,
): Config.Config<A> => {
  note(name, fallback, description);
  const config = read(name, parse);
  return Either.match(parse(fallback), {
    onLeft: () => config,
    onRight: (value) => Config.withDefault(config, value),
  });
};

/** A setting that may be unset; `shown` is what the table says then. */
export const optional = <A>(
  name: string,
  parse: (text: string) => Either.Either<A, string>,
  shown: string,
  description: string,
): Config.Config<A | undefined> => {
  note(name, shown, description);
  return Config.withDefault(read(name, parse), undefined);
};
