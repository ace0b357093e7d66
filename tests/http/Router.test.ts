import { strict as assert } from "node:assert";
import { describe, it } from "@std/testing/bdd";
import * as Router from "../../src/http/Router.ts";

const router = Router.make([
  { method: "GET", path: "/a", target: "getA" },
  { method: "POST", path: "/a", target: "postA" },
  { method: "GET", path: "/a/:x", target: "getX" },
  { method: "GET", path: "/a/:x/b/:y", target: "getXY" },
  { method: "DELETE", path: "/a/b", target: "deleteB" },
  { method: "GET", path: "/", target: "root" },
]);

const found = (path: string) => {
  const match = router(path);
  return match === undefined ? undefined : [match.place.path, { ...match.params }];
};

describe("make()", () => {
  it("finds literals before patterns", () => {
    assert.deepEqual(found("/a"), ["/a", {}]);
    assert.deepEqual(found("/"), ["/", {}]);
    assert.deepEqual(found("/a/b"), ["/a/b", {}]);
    assert.deepEqual(found("/a/c"), ["/a/:x", { x: "c" }]);
    assert.deepEqual(found("/a/1/b/2"), ["/a/:x/b/:y", { x: "1", y: "2" }]);
  });

  it("finds nothing for other paths", () => {
    for (const path of ["", "/A", "/a/", "/a//", "//a", "/a/1/2", "/a/1/b/", "/a;x", "/a#f", "*"]) {
      assert.equal(found(path), undefined, path);
    }
  });

  it("decodes each segment once and on its own", () => {
    assert.deepEqual(found("/a/x%20y"), ["/a/:x", { x: "x y" }]);
    assert.deepEqual(found("/a/x%2Fy"), ["/a/:x", { x: "x/y" }]);
    assert.deepEqual(found("/a/%2E%2E"), ["/a/:x", { x: ".." }]);
    assert.deepEqual(found("/a/%252F"), ["/a/:x", { x: "%2F" }]);
    assert.deepEqual(found("/%61"), ["/a", {}]);
    assert.deepEqual(found("/%61/1/%62/2"), ["/a/:x/b/:y", { x: "1", y: "2" }]);
    assert.equal(found("/a%2Fb"), undefined);
    assert.equal(found("/%2561"), undefined);
  });

  it("gives null for a parameter that is not valid percent-encoding", () => {
    for (const bad of ["%", "%Z", "%ZZ", "%FF", "%C0%AF", "a%"]) {
      assert.deepEqual(found(`/a/${bad}`), ["/a/:x", { x: null }], bad);
      assert.equal(found(`/${bad}`), undefined, bad);
    }
  });

  it("lists what a place allows", () => {
    assert.equal(router("/a")?.place.allow, "GET, HEAD, POST, OPTIONS");
    assert.equal(router("/a/b")?.place.allow, "DELETE, OPTIONS");
  });

  it("throws when a place is declared twice or cannot be matched", () => {
    const twice = { method: "GET", path: "/a", target: 1 };
    assert.throws(() => Router.make([twice, twice]), /Cannot declare "GET \/a" twice/);
    for (const path of ["/a/:x?", "/a/:", "/a/p:x"]) {
      assert.throws(() => Router.make([{ method: "GET", path, target: 1 }]), /Cannot match/, path);
    }
  });
});
