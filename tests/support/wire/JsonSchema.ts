/**
 * As much of JSON Schema 2020-12 as the services' documents use. A keyword that is not known here is
 * an error, so nothing passes because it was not looked at.
 */

type Json = unknown;
type Schema = Readonly<Record<string, Json>>;

const annotations = new Set(["description", "title", "examples", "default", "format"]);

const isObject = (value: Json): value is Readonly<Record<string, Json>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const typeOf = (value: Json): string => {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value === "number" && Number.isInteger(value) ? "integer" : typeof value;
};

const hasType = (value: Json, type: Json): boolean =>
  Array.isArray(type)
    ? type.some((one) => hasType(value, one))
    : typeOf(value) === type || (type === "number" && typeOf(value) === "integer");

/** What is wrong with a value, one line each; `root` is the document that `$ref`s point into. */
export function violations(
  schema: Json,
  value: Json,
  root: Json,
  at = "$",
): ReadonlyArray<string> {
  if (!isObject(schema)) throw new Error(`No schema at ${at}: ${JSON.stringify(schema)}`);
  return Object.entries(schema).flatMap(([keyword, rule]) =>
    check(keyword, rule, schema, value, root, at)
  );
}

function check(
  keyword: string,
  rule: Json,
  schema: Schema,
  value: Json,
  root: Json,
  at: string,
): ReadonlyArray<string> {
  const wrong = (isRight: boolean) =>
    isRight ? [] : [`${at} is ${JSON.stringify(value)}: ${keyword} ${JSON.stringify(rule)}`];
  if (annotations.has(keyword)) return [];
  switch (keyword) {
    case "$ref":
      return violations(resolve(String(rule), root), value, root, at);
    case "type":
      return wrong(hasType(value, rule));
    case "enum":
      return wrong(Array.isArray(rule) && rule.includes(value));
    case "const":
      return wrong(value === rule);
    case "pattern":
      return wrong(typeof value !== "string" || new RegExp(String(rule), "u").test(value));
    case "minLength":
      return wrong(typeof value !== "string" || [...value].length >= Number(rule));
    case "minimum":
      return wrong(typeof value !== "number" || value >= Number(rule));
    case "maximum":
      return wrong(typeof value !== "number" || value <= Number(rule));
    case "exclusiveMinimum":
      return wrong(typeof value !== "number" || value > Number(rule));
    case "anyOf":
      return wrong(schemas(rule).some((one) => violations(one, value, root, at).length === 0));
    case "allOf":
      return schemas(rule).flatMap((one) => violations(one, value, root, at));
    case "items":
      return Array.isArray(value)
        ? value.flatMap((one, index) => violations(rule, one, root, `${at}[${index}]`))
        : [];
    case "required":
      return isObject(value)
        ? schemas(rule).filter((name) => !Object.hasOwn(value, String(name)))
          .map((name) => `${at}.${name} is missing`)
        : [];
    case "properties":
      if (!isObject(value) || !isObject(rule)) return [];
      return Object.entries(rule).flatMap(([name, one]) =>
        Object.hasOwn(value, name) ? violations(one, value[name], root, `${at}.${name}`) : []
      );
    case "additionalProperties": {
      if (!isObject(value)) return [];
      const known = isObject(schema.properties) ? schema.properties : {};
      return Object.entries(value).filter(([name]) => !Object.hasOwn(known, name))
        .flatMap(([name, one]) =>
          rule === false
            ? [`${at}.${name} is not allowed`]
            : rule === true
            ? []
            : violations(rule, one, root, `${at}.${name}`)
        );
    }
    default:
      throw new Error(`Cannot check the keyword "${keyword}" at ${at}`);
  }
}

const schemas = (rule: Json): ReadonlyArray<Json> => {
  if (!Array.isArray(rule)) throw new Error(`No list: ${JSON.stringify(rule)}`);
  return rule;
};

/** What `#/a/b` points to. */
export function resolve(ref: string, root: Json): Json {
  let node: Json = root;
  for (const part of ref.replace(/^#\//, "").split("/")) {
    node = isObject(node) ? node[part.replaceAll("~1", "/").replaceAll("~0", "~")] : undefined;
  }
  if (node === undefined) throw new Error(`Nothing at "${ref}"`);
  return node;
}
