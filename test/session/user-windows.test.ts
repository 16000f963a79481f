import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RollingWindow } from "../../src/session/limits/rolling-window.ts";
import { UserWindows } from "../../src/session/limits/user-windows.ts";

describe("RollingWindow", () => {
  it("counts a thing for 60 to 61 seconds, like a plain list does", () => {
    const window = new RollingWindow();
    const added: { readonly second: number; readonly amount: number }[] = [];
    let second = 3;
    let seed = 7;
    for (let step = 0; step < 5_000; step++) {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      second += seed % 5 === 0 ? seed % 90 : seed % 3;
      added.push({ second, amount: seed % 1000 });
      window.add(seed % 1000, second * 1000 + (seed % 1000));
      const expected = added.filter((entry) => entry.second > second - 61).reduce((sum, { amount }) => sum + amount, 0);
      assert.equal(window.amountAt(second * 1000 + 999), expected);
      const wait = window.secondsUntil(expected / 2, second * 1000);
      assert.ok(new RollingWindow().amountAt(0) === 0 && wait >= 1 && wait <= 61);
    }
  });
});

describe("UserWindows", () => {
  it("keeps a window while anything is in it, whoever else comes", () => {
    const windows = new UserWindows(3);
    windows.windowOf("offender", 0).bytes.add(1_000, 0);
    windows.windowOf("second", 0).rows.add(1, 0);
    for (let user = 0; user < 10_000; user++) windows.windowOf(`flood ${user}`, user * 5).bytes.add(1, user * 5);
    assert.equal(windows.windowOf("offender", 50_000).bytes.amountAt(50_000), 1_000);
    assert.equal(windows.size, 3);
  });

  it("counts users beyond its number together, and gives none of them a clean window too early", () => {
    const windows = new UserWindows(1);
    windows.windowOf("first", 0).bytes.add(1, 0);
    windows.windowOf("late", 30_000).bytes.add(500, 30_000);
    assert.equal(windows.windowOf("later", 30_000).bytes.amountAt(30_000), 500, "shared");
    // The first one's window is empty by now and makes room, but what "late" had is not a minute old.
    assert.equal(windows.windowOf("late", 62_000).bytes.amountAt(62_000), 500);
    assert.equal(windows.windowOf("late", 92_000).bytes.amountAt(92_000), 0);
    windows.windowOf("late", 92_000).bytes.add(7, 92_000);
    assert.equal(windows.windowOf("later", 92_000), windows.windowOf("last", 92_000), "full again");
    assert.equal(windows.windowOf("late", 92_000).bytes.amountAt(92_000), 7);
  });
});
