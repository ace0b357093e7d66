/**
 * JSON values out of what the mongodb driver gives: BSON knows types that JSON does not.
 */
import { Binary } from "mongodb";

/**
 * The value itself when it is JSON already (the usual case, nothing is copied), otherwise a copy:
 * dates as ISO 8601, 64-bit and decimal numbers as numbers where exact and else as text, ids in their
 * usual text form, bytes as base64, what has no meaning in JSON as null.
 */
export const toJson = (value: unknown): unknown => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) ? value : null;
    case "bigint":
      return exactNumber(String(value));
    case "object":
      return value === null ? null : objectToJson(value);
    default:
      return null;
  }
};

const objectToJson = (value: object): unknown => {
  if (Array.isArray(value)) {
    const items: ReadonlyArray<unknown> = value;
    const copy = items.map(toJson);
    return copy.every((item, index) => Object.is(item, items[index])) ? value : copy;
  }
  if (value instanceof Date) {
    return Number.isNaN(value.getTime()) ? null : value.toISOString();
  }
  // Plain objects may well have a field of that name; only the driver's classes inherit it.
  if (!Object.hasOwn(value, "_bsontype") && "_bsontype" in value) {
    return bsonToJson(value, String(value._bsontype));
  }
  let changed = false;
  const fields = Object.entries(value).map(([name, field]): [string, unknown] => {
    const json = toJson(field);
    changed ||= !Object.is(json, field);
    return [name, json];
  });
  // `fromEntries` defines properties, so a field called `__proto__` stays a field.
  return changed ? Object.fromEntries(fields) : value;
};

const bsonToJson = (value: object, type: string): unknown => {
  switch (type) {
    case "Long":
    case "Int32":
    case "Double":
    case "Decimal128":
      return exactNumber(String(value));
    case "ObjectId":
    case "BSONSymbol":
      return String(value);
    case "Binary":
      if (!(value instanceof Binary)) return null;
      return value.sub_type === Binary.SUBTYPE_UUID
        ? value.toUUID().toString()
        : value.toString("base64");
    default:
      return null;
  }
};

/** The number if text and number say the same, else the text: no digit is lost in silence. */
const exactNumber = (text: string): number | string => {
  const number = Number(text);
  return String(number) === text ? number : text;
};
