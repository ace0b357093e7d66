/** What arrives at an ingestion endpoint of Application Insights, held against its data contracts. */
import assert from "node:assert/strict";
import type { Delivery } from "../servers/TelemetryReceiver.ts";

/** An item that passed. */
export interface Item {
  readonly type: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly sampleRate: number;
  // deno-lint-ignore no-explicit-any -- its form depends on the type, and is checked below
  readonly data: any;
}

const iso = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const timeSpan = /^(\d+\.)?([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{7}$/;

// deno-lint-ignore no-explicit-any -- JSON as it came
type Json = any;

const isText = (value: unknown, longest: number): void => {
  assert.ok(typeof value === "string" && value !== "" && value.length <= longest, `${value}`);
};

const isMap = (map: Json, kind: "string" | "number"): void => {
  for (const [key, value] of Object.entries(map ?? {})) {
    isText(key, 150);
    assert.equal(typeof value, kind, key);
    if (typeof value === "string") assert.ok(value.length <= 8_192, key);
  }
};

/** The required members of each type, and no others than those known. */
const contracts: Readonly<Record<string, (data: Json) => ReadonlyArray<string>>> = {
  RequestData: (data) => {
    assert.match(data.id, /^[0-9a-f]{16}$/);
    isText(data.name, 1_024);
    assert.match(data.duration, timeSpan);
    isText(data.responseCode, 1_024);
    assert.equal(typeof data.success, "boolean");
    return ["id", "name", "duration", "responseCode", "success", "url"];
  },
  RemoteDependencyData: (data) => {
    assert.match(data.id, /^[0-9a-f]{16}$/);
    isText(data.name, 1_024);
    assert.match(data.duration, timeSpan);
    isText(data.resultCode, 1_024);
    isText(data.type, 1_024);
    assert.equal(typeof data.success, "boolean");
    return ["id", "name", "duration", "resultCode", "success", "type", "target", "data"];
  },
  ExceptionData: (data) => {
    assert.ok(data.exceptions.length > 0);
    for (const exception of data.exceptions) {
      isText(exception.typeName, 1_024);
      isText(exception.message, 32_768);
      assert.equal(typeof exception.hasFullStack, "boolean");
    }
    return ["exceptions", "severityLevel"];
  },
  MessageData: (data) => {
    isText(data.message, 32_768);
    return ["message", "severityLevel"];
  },
  EventData: (data) => {
    isText(data.name, 512);
    return ["name"];
  },
};

const itemOf = (envelope: Json, instrumentationKey: string): Item => {
  assert.equal(envelope.ver, 1);
  assert.equal(envelope.iKey, instrumentationKey);
  assert.match(envelope.time, iso);
  assert.ok(envelope.sampleRate > 0 && envelope.sampleRate <= 100);
  for (const [tag, value] of Object.entries(envelope.tags)) {
    assert.match(tag, /^ai\.(cloud|operation|application|internal)\./);
    isText(value, 1_024);
  }
  const { baseType, baseData } = envelope.data;
  const contract = contracts[baseType];
  assert.ok(contract, baseType);
  assert.equal(envelope.name, `Microsoft.ApplicationInsights.${baseType.replace(/Data$/, "")}`);
  const { ver, properties, measurements, ...own } = baseData;
  assert.equal(ver, 2);
  isMap(properties, "string");
  isMap(measurements, "number");
  const known = contract(own);
  assert.deepEqual(Object.keys(own).filter((name) => !known.includes(name)), []);
  return {
    type: baseType,
    tags: envelope.tags,
    sampleRate: envelope.sampleRate,
    data: baseData,
  };
};

/** Every item that was delivered, in the order of arrival; one that is illegal fails the test. */
export const itemsOf = (
  deliveries: ReadonlyArray<Delivery>,
  instrumentationKey: string,
): ReadonlyArray<Item> =>
  deliveries.flatMap(({ path, headers, text }) => {
    assert.equal(path, "/v2.1/track");
    assert.equal(headers.get("content-type"), "application/json");
    const envelopes: unknown = JSON.parse(text);
    assert.ok(Array.isArray(envelopes) && envelopes.length > 0);
    return envelopes.map((envelope) => itemOf(envelope, instrumentationKey));
  });

/** What the endpoint answers when it takes everything. */
export const accepted = ({ text }: Delivery): Response => {
  const { length } = JSON.parse(text);
  return Response.json({ itemsReceived: length, itemsAccepted: length, errors: [] });
};
