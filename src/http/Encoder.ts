/**
 * Encoders of answers, compiled once from the success schemas of an endpoint.
 *
 * A schema without transformations is encoded by copying the fields it names, recursively: nothing
 * else of the handler's value leaves the process, as with Schema, but the values themselves are
 * trusted to be of their types (the compiler checked them). Everything else goes through Schema.
 */
import { HttpApiSchema } from "@effect/platform";
import { Option, ParseResult, Schema, SchemaAST } from "effect";

/** How the values of one status are written. */
export interface Encoder {
  readonly status: number;
  /** `""` for an answer without a body. */
  readonly contentType: string;
  /** Throws a `ParseError` for a value that is not of the schema, where that is noticed. */
  readonly encode: (value: unknown) => string | Uint8Array<ArrayBuffer> | null;
}

/** Text that JSON is sent as. */
export const json = "application/json";

/** The encoders of an endpoint's success schemas, or of its errors, by status. */
export const compile = (
  schemas: ReadonlyMap<number, { readonly ast: Option.Option<SchemaAST.AST> }>,
): ReadonlyMap<number, Encoder> => {
  const encoders = new Map<number, Encoder>();
  for (const [status, { ast }] of schemas) {
    encoders.set(
      status,
      Option.match(ast, {
        onNone: () => ({ status, contentType: "", encode: () => null }),
        onSome: (ast) => encoderOf(status, ast),
      }),
    );
  }
  return encoders;
};

const encoderOf = (status: number, ast: SchemaAST.AST): Encoder => {
  const { kind, contentType } = HttpApiSchema.getEncoding(ast);
  const convert = copier(ast) ?? schemaEncoder(ast);
  switch (kind) {
    case "Json":
      return { status, contentType, encode: (value) => JSON.stringify(convert(value)) };
    case "Text":
      return { status, contentType, encode: (value) => String(convert(value)) };
    case "Uint8Array":
      return {
        status,
        contentType,
        encode: (value) => {
          const bytes = convert(value);
          return bytes instanceof Uint8Array ? new Uint8Array(bytes) : null;
        },
      };
    case "UrlParams":
      return {
        status,
        contentType,
        encode: (value) => new URLSearchParams(Object.entries(Object(convert(value)))).toString(),
      };
  }
};

type Convert = (value: unknown) => unknown;

const schemaEncoder = (ast: SchemaAST.AST): Convert => {
  const encode = ParseResult.encodeUnknownSync(Schema.make<unknown, unknown, never>(ast));
  return (value) => encode(value);
};

const same: Convert = (value) => value;

/** `undefined` for a schema that Schema itself has to encode. */
const copier = (ast: SchemaAST.AST): Convert | undefined => {
  switch (ast._tag) {
    case "StringKeyword":
    case "NumberKeyword":
    case "BooleanKeyword":
    case "UnknownKeyword":
    case "AnyKeyword":
    case "UndefinedKeyword":
    case "ObjectKeyword":
    case "Literal":
    case "TemplateLiteral":
    case "Enums":
      return same;
    case "Refinement":
      return copier(ast.from);
    case "Union": {
      // Only where no member has fields to drop; else it takes a look at the value to tell which.
      return ast.types.every((member) => copier(member) === same) ? same : undefined;
    }
    case "TupleType":
      return arrayCopier(ast);
    case "TypeLiteral":
      return structCopier(ast);
    default:
      return undefined;
  }
};

const arrayCopier = (ast: SchemaAST.TupleType): Convert | undefined => {
  const [rest, more] = ast.rest;
  if (ast.elements.length > 0 || rest === undefined || more !== undefined) return undefined;
  const convert = copier(rest.type);
  if (convert === undefined || convert === same) return convert;
  return (value) => Array.isArray(value) ? value.map(convert) : value;
};

const structCopier = (ast: SchemaAST.TypeLiteral): Convert | undefined => {
  const [signature, more] = ast.indexSignatures;
  if (signature !== undefined) {
    const plain = more === undefined && ast.propertySignatures.length === 0 &&
      SchemaAST.isStringKeyword(signature.parameter) && copier(signature.type) === same;
    return plain ? same : undefined;
  }
  const fields: Array<{ readonly name: string; readonly convert: Convert }> = [];
  for (const { name, type, isOptional } of ast.propertySignatures) {
    const convert = copier(isOptional ? withoutUndefined(type) : type);
    if (convert === undefined || typeof name !== "string") return undefined;
    fields.push({ name, convert });
  }
  // "{}" as a schema means anything that is not null or undefined.
  if (fields.length === 0) return same;
  return (value) => {
    const input: Readonly<Record<string, unknown>> = Object(value);
    const output: Record<string, unknown> = {};
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i];
      if (field === undefined) break;
      const given = input[field.name];
      // JSON has no undefined: a field without a value is left out.
      if (given !== undefined) output[field.name] = field.convert(given);
    }
    return output;
  };
};

const withoutUndefined = (ast: SchemaAST.AST): SchemaAST.AST => {
  if (!SchemaAST.isUnion(ast)) return ast;
  const defined = ast.types.filter((member) => !SchemaAST.isUndefinedKeyword(member));
  const [only] = defined;
  return defined.length === 1 && only !== undefined ? only : ast;
};
