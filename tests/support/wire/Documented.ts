/** Whether an answer is one that the service's own OpenAPI document announces. */
import assert from "node:assert/strict";
import type { Answer } from "../Amicis.ts";
import { resolve, violations } from "./JsonSchema.ts";

// deno-lint-ignore no-explicit-any -- a document as it came over the wire
type Document = any;

// deno-lint-ignore no-explicit-any -- as above
const followed = (node: any, root: Document): any =>
  typeof node?.$ref === "string" ? resolve(node.$ref, root) : node;

/**
 * Checks status, content type, body and documented headers of an answer to `method` at the path
 * template. Every header that the document does not know of and that is ours is an error too.
 */
export function assertDocumented(
  document: Document,
  method: string,
  path: string,
  answer: Answer,
): void {
  const name = `${method} ${path} → ${answer.status}`;
  const operation = document.paths[path]?.[method.toLowerCase()];
  assert.ok(operation !== undefined, `${name}: the path is not in the document`);
  const response = operation.responses[String(answer.status)];
  assert.ok(response !== undefined, `${name}: the status is not in the document`);

  const type = (answer.headers.get("content-type") ?? "").replaceAll(" ", "");
  const types = Object.keys(response.content ?? {});
  const documented = types.find((one) =>
    one.replaceAll(" ", "") === type || one === type.split(";")[0]
  );
  assert.ok(documented !== undefined, `${name}: content type "${type}", not one of ${types}`);
  if (/json/.test(type)) {
    const { schema } = response.content[documented];
    assert.deepEqual(violations(schema, answer.json, document), [], name);
  }

  const headers: Record<string, Document> = response.headers ?? {};
  for (const [header, node] of Object.entries(headers)) {
    const { required = false, schema } = followed(node, document);
    const value = answer.headers.get(header);
    assert.ok(value !== null || !required, `${name}: the header ${header} is missing`);
    if (value === null) continue;
    const isNumber = schema.type === "integer" || schema.type === "number";
    const found = violations(schema, isNumber ? Number(value) : value, document);
    assert.deepEqual(found, [], `${name}: the header ${header}`);
  }
  const known = new Set(Object.keys(headers).map((header) => header.toLowerCase()));
  for (const [header] of answer.headers) {
    const isOurs = /^(x-(?!content-type)|age$|link$|retry-after|ratelimit|www-auth|allow$)/;
    assert.ok(!isOurs.test(header) || known.has(header), `${name}: ${header} is not documented`);
  }
}
