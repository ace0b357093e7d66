/**
 * Decoders for the parts of a request, compiled once from their schemas. What fails becomes a 400
 * with one sentence about the first field that is wrong: `storeId is required`, `storeId is invalid`.
 *
 * A struct of plain strings with checks is decoded by a loop over those checks, ten times cheaper
 * than the Schema interpreter and with the same result; everything else goes through Schema.
 */
import { Either, Option, ParseResult, Schema, SchemaAST } from "effect";
import { BadRequest } from "./Problem.ts";

/** The decoded value, or the 400 to answer. */
export type Decoder = (input: unknown) => unknown;

/** What is said of a field, in place of `<name> is required` and `<name> is invalid`. */
export interface Sentences {
  readonly missing?: string;
  readonly invalid?: string;
}

const SentencesId: unique symbol = Symbol.for("amicis/http/Sentences");

/** Annotation of a field's schema: `StoreName.annotations(sentences({ invalid: "…" }))`. */
export const sentences = (sentences: Sentences): { readonly [SentencesId]: Sentences } => ({
  [SentencesId]: sentences,
});

interface Field {
  readonly name: string;
  readonly missing: string;
  readonly invalid: string;
}

interface Options {
  readonly emptyIsMissing: boolean;
  /** The sentence when no field is to blame. */
  readonly whole: string;
}

/**
 * Decoder of a query, path, body or header struct. With `emptyIsMissing` an empty string counts as
 * not given, as in a query: `?storeId=`. A value that is an array is a parameter given twice.
 */
export const compile = <A, I>(
  schema: Schema.Schema<A, I>,
  options: Options,
): Decoder => {
  const fields = fieldsOf(schema.ast);
  const quick = quickChecks(schema.ast);
  if (quick !== undefined) return quickDecoder(quick, fields, options);
  const decode = ParseResult.decodeUnknownEither(schema);
  const wantsArray = arrayFields(schema.ast);
  return (input) => {
    const given = wantsArray.length > 0 && isRecord(input) ? withArrays(input, wantsArray) : input;
    const result = decode(given);
    return Either.isRight(result) ? result.right : refusal(result.left, fields, given, options);
  };
};

/** The sentence for the first field that is wrong. */
const refusal = (
  issue: ParseResult.ParseIssue,
  fields: ReadonlyMap<string, Field>,
  input: unknown,
  { emptyIsMissing, whole }: Options,
): BadRequest => {
  const first = ParseResult.ArrayFormatter.formatIssueSync(issue)[0];
  const name = first?.path[0];
  if (first === undefined || name === undefined) return new BadRequest({ error: whole });
  const field = fields.get(String(name)) ?? fieldNamed(String(name), undefined);
  const missing = (first._tag === "Missing" && first.path.length === 1) ||
    (emptyIsMissing && isRecord(input) && input[field.name] === "");
  return new BadRequest({ error: missing ? field.missing : field.invalid });
};

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

// --- what a schema says of its fields ---

const fieldsOf = (ast: SchemaAST.AST): ReadonlyMap<string, Field> => {
  const fields = new Map<string, Field>();
  const from = SchemaAST.isTransformation(ast) ? ast.from : ast;
  if (SchemaAST.isRefinement(from)) return fieldsOf(from.from);
  if (!SchemaAST.isTypeLiteral(from)) return fields;
  for (const signature of from.propertySignatures) {
    const name = String(signature.name);
    fields.set(name, fieldNamed(name, sentencesOf(signature) ?? sentencesOf(signature.type)));
  }
  return fields;
};

const fieldNamed = (name: string, sentences: Sentences | undefined): Field => ({
  name,
  missing: sentences?.missing ?? `${name} is required`,
  invalid: sentences?.invalid ?? `${name} is invalid`,
});

const sentencesOf = (annotated: SchemaAST.Annotated): Sentences | undefined => {
  const found = SchemaAST.getAnnotation<Sentences>(annotated, SentencesId);
  if (Option.isSome(found)) return found.value;
  if (!("_tag" in annotated)) return undefined;
  // Any Annotated with a tag is a node of the tree.
  const ast = annotated as SchemaAST.AST;
  if (SchemaAST.isTransformation(ast)) return sentencesOf(ast.to) ?? sentencesOf(ast.from);
  if (SchemaAST.isRefinement(ast)) return sentencesOf(ast.from);
  if (!SchemaAST.isUnion(ast)) return undefined;
  for (const member of ast.types) {
    const inner = sentencesOf(member);
    if (inner !== undefined) return inner;
  }
  return undefined;
};

/** Fields that take an array: a single value of a query is one of one element. */
const arrayFields = (ast: SchemaAST.AST): ReadonlyArray<string> =>
  SchemaAST.isTypeLiteral(ast)
    ? ast.propertySignatures.filter((signature) => takesArray(signature.type)).map((signature) =>
      String(signature.name)
    )
    : [];

const takesArray = (ast: SchemaAST.AST): boolean => {
  if (SchemaAST.isTupleType(ast)) return true;
  if (SchemaAST.isUnion(ast)) return ast.types.some(takesArray);
  if (SchemaAST.isRefinement(ast) || SchemaAST.isTransformation(ast)) return takesArray(ast.from);
  return false;
};

const withArrays = (
  input: Readonly<Record<string, unknown>>,
  names: ReadonlyArray<string>,
): Readonly<Record<string, unknown>> => {
  const output = { ...input };
  for (const name of names) {
    if (typeof output[name] === "string") output[name] = [output[name]];
  }
  return output;
};

// --- structs of checked strings ---

interface QuickCheck {
  readonly name: string;
  readonly optional: boolean;
  readonly accepts: (value: string) => boolean;
}

const quickChecks = (ast: SchemaAST.AST): ReadonlyArray<QuickCheck> | undefined => {
  if (!SchemaAST.isTypeLiteral(ast) || ast.indexSignatures.length > 0) return undefined;
  const checks: Array<QuickCheck> = [];
  for (const signature of ast.propertySignatures) {
    const accepts = stringCheck(withoutUndefined(signature.type, signature.isOptional));
    if (accepts === undefined || typeof signature.name !== "string") return undefined;
    checks.push({ name: signature.name, optional: signature.isOptional, accepts });
  }
  return checks;
};

const withoutUndefined = (ast: SchemaAST.AST, optional: boolean): SchemaAST.AST => {
  if (!optional || !SchemaAST.isUnion(ast) || ast.types.length !== 2) return ast;
  const [first, second] = ast.types;
  return SchemaAST.isUndefinedKeyword(second) ? first : ast;
};

const stringCheck = (ast: SchemaAST.AST): ((value: string) => boolean) | undefined => {
  if (SchemaAST.isStringKeyword(ast)) return () => true;
  if (!SchemaAST.isRefinement(ast)) return undefined;
  const inner = stringCheck(ast.from);
  if (inner === undefined) return undefined;
  const pattern = patternOf(ast);
  if (pattern !== undefined) return (value) => inner(value) && pattern.test(value);
  return (value) =>
    inner(value) && Option.isNone(ast.filter(value, SchemaAST.defaultParseOption, ast));
};

/** Of `Schema.pattern`, whose filter does no more than this but makes an issue each time. */
const patternOf = (ast: SchemaAST.Refinement): RegExp | undefined => {
  const found = SchemaAST.getAnnotation<{ readonly regex: unknown }>(
    ast,
    Schema.PatternSchemaId,
  );
  const regex = Option.getOrUndefined(found)?.regex;
  // One with a memory of where it was would have to be reset each time.
  return regex instanceof RegExp && !regex.global && !regex.sticky ? regex : undefined;
};

const quickDecoder = (
  checks: ReadonlyArray<QuickCheck>,
  fields: ReadonlyMap<string, Field>,
  { emptyIsMissing, whole }: Options,
): Decoder =>
(input) => {
  if (!isRecord(input)) return new BadRequest({ error: whole });
  const output: Record<string, string> = {};
  for (let i = 0; i < checks.length; i++) {
    const check = checks[i];
    if (check === undefined) break;
    const { name, accepts, optional } = check;
    const value = input[name];
    if (typeof value === "string" && accepts(value)) {
      output[name] = value;
      continue;
    }
    if (value === undefined && optional) continue;
    const field = fields.get(name) ?? fieldNamed(name, undefined);
    const missing = value === undefined || (emptyIsMissing && value === "");
    return new BadRequest({ error: missing ? field.missing : field.invalid });
  }
  return output;
};
