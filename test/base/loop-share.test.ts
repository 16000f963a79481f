import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LoopShare } from "../../src/base/loop-share.ts";
import { eventually } from "../support/eventually.ts";

/** What happens in which turn of the event loop, as far as `untilDone` says. */
async function turnsOf(share: LoopShare, names: readonly string[], amount: number): Promise<string[]> {
  const turns: string[] = [""];
  let done = 0;
  const go = (name: string): void => {
    done++;
    turns[turns.length - 1] += name;
  };
  for (const name of names) if (share.take(amount, () => go(name))) go(name);
  while (done < names.length) {
    turns.push("");
    await new Promise((resolve) => setImmediate(resolve));
  }
  return turns.filter((turn) => turn !== "");
}

describe("LoopShare", () => {
  it("lets so much be done in a turn of the event loop and the rest in later ones, in order", async () => {
    assert.deepEqual(await turnsOf(new LoopShare(2), ["a", "b", "c", "d", "e"], 1), ["ab", "cd", "e"]);
  });

  it("counts by amounts, the last of which may go beyond what there is", async () => {
    assert.deepEqual(await turnsOf(new LoopShare(10), ["a", "b", "c", "d"], 7), ["ab", "cd"]);
  });

  it("lets few go on of whom it is not known what they will do", async () => {
    const share = new LoopShare(10, () => false, 5);
    assert.deepEqual(await turnsOf(share, [..."abcdefghijklmn"], 1), ["abcdefghij", "kl", "mn"]);
  });

  it("has nobody overtake those that wait", async () => {
    const share = new LoopShare(1);
    const heard: string[] = [];
    assert.equal(
      share.take(1, () => undefined),
      true,
    );
    assert.equal(
      share.take(1, () => {
        heard.push("first");
        // Called in a turn that it has used up.
        assert.equal(
          share.take(1, () => heard.push("again")),
          false,
        );
      }),
      false,
    );
    assert.equal(
      share.take(1, () => heard.push("second")),
      false,
    );
    assert.equal(share.waiting, 2);
    await eventually("all have had their turn", () => heard.length === 3);
    assert.deepEqual(heard, ["first", "second", "again"]);
  });

  it("lets one go on at a time while there is little to give, and all when that is over", async () => {
    let isTight = true;
    const share = new LoopShare(100, () => isTight);
    const heard: string[] = [];
    for (const name of ["a", "b", "c"]) {
      assert.equal(
        share.take(1, () => {
          heard.push(name);
          if (name === "a") {
            assert.equal(share.waiting, 2);
            isTight = false;
          }
        }),
        false,
      );
    }
    await eventually("all have had their turn", () => heard.length === 3);
    assert.deepEqual(heard, ["a", "b", "c"]);
  });
});
