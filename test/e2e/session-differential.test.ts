/**
 * No list of commands talks a session out of what its policy denies: lists from a seed change the session's state in every
 * way there is and then send what that state may have made another statement, to real servers through the executable.
 * QUERYCOP_TEST_SCALE=full runs more; bench/session-differential.ts any number of any seed, and shows what differs.
 */
import assert from "node:assert/strict";
import type { ServerKind } from "../support/accounts.ts";
import { describeList, search } from "../support/differential-search.ts";
import { e2e } from "../support/e2e-test.ts";

const COMMANDS = process.env["QUERYCOP_TEST_SCALE"] === "full" ? 300_000 : 1_500;
const TIMEOUT_MS = 120 * 60_000;
const DIRECT_LISTS = 30;
/** Of what applications and drivers send, in one packet too: locks are not for readers. So few commands are no measure. */
const FALSE_ALARMS_MAX = 0.04;

const KINDS: readonly ServerKind[] = ["mysql", "mariadb"];

for (const kind of KINDS) {
  e2e(
    `${kind}: lists of commands that change how texts are read have no denied effect`,
    async () => {
      const sizes = { workers: 3, commands: COMMANDS, directLists: DIRECT_LISTS };
      const tally = await search({ kind, seed: 10, shrinkMax: 3, ...sizes });
      assert.deepEqual(
        tally.findings.map(({ index, effect, list }) => `list ${index}: ${effect}\n${describeList(list)}`),
        [],
      );
      assert.deepEqual([tally.denied, tally.lost, tally.deniedInLog], [0, 0, []]);
      assert.ok(tally.direct > DIRECT_LISTS / 3, `${tally.direct} of ${DIRECT_LISTS} would have one without querycop`);
      const alarms = [...tally.falseAlarms.values()].reduce((sum, count) => sum + count, 0);
      const share = alarms / tally.harmlessCommands;
      assert.ok(share <= FALSE_ALARMS_MAX, `${alarms}: ${[...tally.falseAlarms.keys()].join("\n")}`);
    },
    TIMEOUT_MS,
  );
}
