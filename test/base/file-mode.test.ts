import assert from "node:assert/strict";
import { test } from "node:test";
import { GROUP_OR_WORLD_ANY, GROUP_OR_WORLD_WRITABLE, othersMay, WORLD_READABLE } from "../../src/base/file-mode.ts";

test("othersMay() goes by the mode where there are modes, and says nothing on Windows", () => {
  const cases: readonly (readonly [mode: number, rights: number, expected: boolean])[] = [
    [0o644, GROUP_OR_WORLD_WRITABLE, false],
    [0o664, GROUP_OR_WORLD_WRITABLE, true],
    [0o646, GROUP_OR_WORLD_WRITABLE, true],
    [0o640, WORLD_READABLE, false],
    [0o644, WORLD_READABLE, true],
    [0o600, GROUP_OR_WORLD_ANY, false],
    [0o610, GROUP_OR_WORLD_ANY, true],
  ];
  for (const [mode, rights, expected] of cases) {
    for (const platform of ["linux", "darwin"] as const) assert.equal(othersMay(mode, rights, platform), expected);
    assert.equal(othersMay(mode, rights, "win32"), false);
  }
});
