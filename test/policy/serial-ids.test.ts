import assert from "node:assert/strict";
import { it } from "node:test";
import { SerialIds } from "../../src/policy/serial-ids.ts";

it("ids count up from 1 in base 36, without a gap where a digit is added", () => {
  const ids = new SerialIds("a1");
  for (let count = 1; count <= 36 ** 3 + 36 ** 2; count++) {
    const id = ids.next();
    if (id !== `a1-${count.toString(36)}`) assert.equal(id, `a1-${count.toString(36)}`);
  }
});
