/** Finding the route of a path, beside the two fastest routers of Node. */
import * as Router from "../../../src/http/Router.ts";
import { calling, measure, peer } from "./Measure.ts";

interface FindMyWay {
  on(method: string, path: string, handler: () => void): void;
  find(method: string, path: string): unknown;
}

interface HonoRouter {
  add(method: string, path: string, handler: unknown): void;
  match(method: string, path: string): unknown;
}

// What the packages export is known from their documentation.
const FindMyWay = peer("find-my-way") as () => FindMyWay;
const { RegExpRouter } = peer("hono/router/reg-exp-router") as {
  readonly RegExpRouter: new () => HonoRouter;
};

const paths = [
  "/api/v1/route",
  "/api/v1/stores",
  "/api/v1/stores/:storeId",
  "/health",
  "/health/live",
  "/health/ready",
  "/metrics",
  "/openapi.json",
  "/status",
  "/status/events",
  "/admin/breakers",
  "/admin/breakers/:name",
];
const handler = () => {};
const ours = Router.make(paths.map((path) => ({ method: "GET", path, target: handler })));
const findMyWay = FindMyWay();
const hono = new RegExpRouter();
for (const path of paths) {
  findMyWay.on("GET", path, handler);
  hono.add("GET", path, handler);
}

const literal = "/api/v1/route";
const withParam = (i: number) => `/api/v1/stores/store-${i % 100}`;

await measure({
  "ours literal": calling(() => ours(literal)?.place.methods.get("GET")),
  "find-my-way literal": calling(() => findMyWay.find("GET", literal)),
  "hono literal": calling(() => hono.match("GET", literal)),
  "ours param": calling((i) => ours(withParam(i))?.place.methods.get("GET")),
  "find-my-way param": calling((i) => findMyWay.find("GET", withParam(i))),
  "hono param": calling((i) => hono.match("GET", withParam(i))),
});
