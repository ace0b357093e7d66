/**
 * How calls to dependencies look in a trace: OpenTelemetry's conventions for database and HTTP
 * clients. What is embedded is no client of anything, and shows as work of this process.
 */
import { Redacted } from "effect";
import type { AppConfig } from "./Config.ts";
import type { SpanForm } from "./resilience/AttemptSpan.ts";

/** Host and port of a connection string, never what stands before the @; none if that is unclear. */
export const serverOf = (address: Redacted.Redacted<string>): Readonly<Record<string, unknown>> => {
  const rest = Redacted.value(address).replace(/^[a-z+]+:\/\//, "");
  const [authority = "", ...path] = rest.split(/[/?]/);
  // An @ after the first slash: then the slash may belong to a password.
  if (path.some((part) => part.includes("@"))) return {};
  const hosts = authority.slice(authority.lastIndexOf("@") + 1);
  const [, host, port] = /^(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/.exec(hosts) ?? [];
  if (host !== undefined) {
    return {
      "server.address": host,
      ...(port === undefined ? {} : { "server.port": Number(port) }),
    };
  }
  return /^[\w.:,[\]-]+$/.test(hosts) ? { "server.address": hosts } : {};
};

const client = (name: string, attributes: SpanForm["attributes"]): SpanForm => ({
  name,
  kind: "client",
  attributes,
});

const embedded = (name: string): SpanForm => ({ name, kind: "internal", attributes: {} });

/** The spans of calls to MongoDB and Redis, by the operations of metrics and log. */
export const make = (settings: AppConfig, { collection }: { readonly collection: string }) => {
  const { mongodbUri, mongodbDatabase, redisUrl } = settings;
  const find = mongodbUri === undefined ? embedded(`find ${collection}`) : client(
    `find ${collection}`,
    {
      "db.system.name": "mongodb",
      "db.namespace": mongodbDatabase,
      "db.collection.name": collection,
      "db.operation.name": "find",
      ...serverOf(mongodbUri),
    },
  );
  const command = (name: string) =>
    redisUrl === undefined ? embedded(`memory ${name}`) : client(name, {
      "db.system.name": "redis",
      "db.operation.name": name,
      ...serverOf(redisUrl),
    });
  const get = command("GET");
  const set = command("SET");
  return {
    mongodb: (_operation: string): SpanForm => find,
    redis: (operation: string): SpanForm => operation === "redis_set" ? set : get,
  };
};

/** The span of a call to a token endpoint; which one it is says the call itself. */
export const tokenExchange: SpanForm = client("POST", { "http.request.method": "POST" });
