import assert from "node:assert/strict";
import { test } from "node:test";
import { crowdOf, isLoopbackAddress, plainAddress } from "../../src/base/address.ts";

test("plainAddress() takes an IPv4 address out of IPv6 and leaves others alone", () => {
  assert.equal(plainAddress("::ffff:192.0.2.1"), "192.0.2.1");
  for (const address of ["192.0.2.1", "2001:db8::1", "::1", "::ffff:c000:201", "unix"]) {
    assert.equal(plainAddress(address), address);
  }
});

test("isLoopbackAddress() knows the addresses that only this machine reaches", () => {
  for (const address of ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"]) assert.ok(isLoopbackAddress(address));
  for (const address of ["192.0.2.1", "::2", "::ffff:192.0.2.1", "12.7.0.1", "unix", ""]) {
    assert.ok(!isLoopbackAddress(address));
  }
});

test("crowdOf() takes a /64 of IPv6 for one, and addresses of IPv4 for themselves", () => {
  const crowds = {
    "192.0.2.1": "192.0.2.1",
    unix: "unix",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
    "2001:db8:1:2::9": "2001:db8:1:2::/64",
    "2001:db8::1:2:3:4": "2001:db8:0:0::/64",
    "2001:db8::": "2001:db8:0:0::/64",
    "::1": "0:0:0:0::/64",
    "fe80::1%eth0": "fe80:0:0:0::/64",
    "64:ff9b::192.0.2.1": "64:ff9b::192.0.2.1",
  };
  for (const [address, crowd] of Object.entries(crowds)) assert.equal(crowdOf(address), crowd);
});
