import { describe, it } from "@std/testing/bdd";
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { judge, objection, parse } from "../../../src/auth/IdentityProvider/OutboundAddress.ts";

describe("OutboundAddress", () => {
  const forbidden = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "::",
    "fe80::1",
    "febf::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "FD00:EC2:0:0:0:0:0:254",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::ffff:0:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::",
    "::ffff:0.0.0.0",
    "not an address",
    "",
  ];
  for (const address of forbidden) {
    it(`judge() forbids "${address}"`, () => assert.equal(judge(address), "forbidden"));
  }

  for (const address of ["127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1"]) {
    it(`judge() knows "${address}" as loopback`, () => assert.equal(judge(address), "loopback"));
  }

  const allowed = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.253.255.255",
    "169.255.0.0",
    "8.8.8.8",
    "223.255.255.255",
    "2001:db8::1",
    "fd00::1",
    "fdff:ec2::254",
    "fd00:ec3::254",
    "::ffff:10.0.0.1",
    "64:ff9b::8.8.8.8",
    "2002:0808:0808::",
  ];
  for (const address of allowed) {
    it(`judge() allows "${address}"`, () => assert.equal(judge(address), "allowed"));
  }

  it("judge() forbids all of 169.254/16 in every way an IPv6 address can carry it", () => {
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(fc.property(byte, byte, (c, d) => {
      const hex = `a9fe:${((c << 8) | d).toString(16)}`;
      for (
        const address of [
          `169.254.${c}.${d}`,
          `::ffff:169.254.${c}.${d}`,
          `::ffff:${hex}`,
          `0:0:0:0:0:ffff:${hex}`,
          `64:ff9b::${hex}`,
          `2002:${hex}::1`,
        ]
      ) assert.equal(judge(address), "forbidden", address);
    }));
  });

  const refusedEndpoints: ReadonlyArray<readonly [string, string]> = [
    ["not a url", "it is not a URL"],
    ["", "it is not a URL"],
    ["ftp://idp.example/", "its scheme is not https"],
    ["file:///etc/passwd", "its scheme is not https"],
    ["http://idp.example/token", "its scheme is not https"],
    ["http://10.0.0.1/token", "its scheme is not https"],
    ["http://127.0.0.1.nip.example/token", "its scheme is not https"],
    ["http://localhost.example/token", "its scheme is not https"],
    ["https://user:secret@idp.example/token", "it holds credentials"],
    ["https://user@idp.example/token", "it holds credentials"],
    ["https://metadata.google.internal/", "its host is a metadata service"],
    ["https://METADATA.google.INTERNAL./", "its host is a metadata service"],
    ["https://169.254.169.254/latest", "its address is forbidden"],
    ["https://2852039166/latest", "its address is forbidden"],
    ["https://0xa9fea9fe/latest", "its address is forbidden"],
    ["https://0xa9.0xfe.0xa9.0xfe/latest", "its address is forbidden"],
    ["https://0251.0376.0251.0376/latest", "its address is forbidden"],
    ["https://169.254.43518/latest", "its address is forbidden"],
    ["https://１６９.254.169.254/latest", "its address is forbidden"],
    ["https://169.254.169.254./latest", "its address is forbidden"],
    ["https://169.254.169.254:443/latest", "its address is forbidden"],
    ["https://169.254.169.254:8443/latest", "its address is forbidden"],
    ["https://169%2E254%2E169%2E254/latest", "its address is forbidden"],
    ["https:169.254.169.254", "its address is forbidden"],
    ["https:\\\\169.254.169.254\\latest", "its address is forbidden"],
    [" https://169.254.169.254 ", "its address is forbidden"],
    ["https://169.254.169\n.254/", "its address is forbidden"],
    ["https://idp.example@169.254.169.254/", "it holds credentials"],
    ["https://169.254.169.254:0/", "its address is forbidden"],
    ["https://169.254.169.254:99999/", "it is not a URL"],
    ["https://[::ffff:a9fe:a9fe]:443/", "its address is forbidden"],
    ["https://[0:0:0:0:0:FFFF:169.254.169.254]/", "its address is forbidden"],
    ["https://[64:ff9b::169.254.169.254]/", "its address is forbidden"],
    ["https://[2002:a9fe:a9fe::1]/", "its address is forbidden"],
    ["https://[fe80::1%25eth0]/", "it is not a URL"],
    ["gopher://127.0.0.1:6379/_FLUSHALL", "its scheme is not https"],
    ["https://100.100.100.200/", "its address is forbidden"],
    ["https://[::ffff:169.254.169.254]/", "its address is forbidden"],
    ["https://[fe80::1]/", "its address is forbidden"],
    ["https://[fd00:ec2::254]/", "its address is forbidden"],
    ["https://[::]/", "its address is forbidden"],
    ["https://0/", "its address is forbidden"],
    ["http://0.0.0.0/", "its address is forbidden"],
  ];
  for (const [endpoint, reason] of refusedEndpoints) {
    it(`parse() refuses "${endpoint}" as ${reason}`, () => {
      assert.equal(parse(endpoint, false), reason);
    });
  }

  it("parse() refuses link-local addresses also when insecure endpoints are allowed", () => {
    assert.equal(parse("http://169.254.169.254/", true), "its address is forbidden");
    assert.equal(parse("http://metadata.google.internal/", true), "its host is a metadata service");
  });

  it("parse() accepts http to loopback, and to others only when allowed", () => {
    for (
      const endpoint of [
        "http://127.0.0.1:1/",
        "http://localhost/",
        "http://a.localhost/",
        "http://[::1]/",
        "http://2130706433/",
      ]
    ) {
      const target = parse(endpoint, false);
      assert.ok(typeof target === "object", endpoint);
      assert.equal(target.loopbackOnly, true);
    }
    const open = parse("http://idp.example/", true);
    assert.ok(typeof open === "object");
    assert.equal(open.loopbackOnly, false);
  });

  it("parse() keeps path, query and port and drops the fragment", () => {
    assert.deepEqual(parse("https://Idp.Example:8443/a/b?c=d&e#f", false), {
      isTls: true,
      host: "idp.example",
      port: 8443,
      path: "/a/b?c=d&e",
      authority: "idp.example:8443",
      loopbackOnly: false,
    });
    const plain = parse("https://[2001:db8::1]", false);
    assert.ok(typeof plain === "object");
    assert.deepEqual([plain.host, plain.port, plain.path, plain.authority], [
      "2001:db8::1",
      443,
      "/",
      "[2001:db8::1]",
    ]);
  });

  it("objection() refuses a name when any of its addresses is forbidden", () => {
    const reason = "its name resolves to a forbidden address";
    assert.equal(objection({ loopbackOnly: false }, ["10.0.0.1", "169.254.169.254"]), reason);
    assert.equal(objection({ loopbackOnly: false }, ["10.0.0.1", "127.0.0.1"]), undefined);
    assert.equal(objection({ loopbackOnly: true }, ["::1", "127.0.0.1"]), undefined);
    assert.equal(objection({ loopbackOnly: true }, ["10.0.0.1"]), "its scheme is not https");
  });
});
