import assert from "node:assert/strict";
import test from "node:test";
import { isPublicAddress } from "../../src/doctor/bypass-checks.ts";

test("isPublicAddress() tells addresses of the internet from those of a network", () => {
  const open = ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1", "::ffff:8.8.8.8", "193.168.0.1"];
  const closed = ["10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "127.0.0.1", "169.254.1.1"];
  for (const address of open) assert.equal(isPublicAddress(address), true, address);
  for (const address of [...closed, "::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1", "no address"]) {
    assert.equal(isPublicAddress(address), false, address);
  }
});
