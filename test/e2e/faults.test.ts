/**
 * What goes wrong around sessions: a network that loses, delays and is cut, a server that is killed, a name server that
 * falls silent, for sessions in eight states, TLS on both legs. All faults: `bun bench/faults.ts`.
 */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { e2e } from "../support/e2e-test.ts";
import { type FaultCell, faultTable } from "../support/faults/table.ts";

const STATES = 8;
const FAULTS = {
  mysql: ["server leg loses 5 %", "server leg cut", "server kills connections", "clients reset"],
  mariadb: ["server leg cut briefly", "server leg loses large packets", "server killed", "name server silent"],
} as const;

describe("faults around sessions", () => {
  for (const kind of ["mysql", "mariadb"] as const) {
    e2e(
      `of ${kind} end what they touch within its bounds, are told as by a server, and lose no record`,
      async () => {
        const cells: FaultCell[] = [];
        await faultTable({ kind, faults: FAULTS[kind], seed: 1 }, (cell) => cells.push(cell));
        const wrong = cells.flatMap(({ fault, state, problems }) =>
          problems.map((text) => `${fault}, ${state}: ${text}`),
        );
        assert.deepEqual(wrong, []);
        assert.equal(cells.length, FAULTS[kind].length * STATES);
      },
      300_000,
    );
  }
});
