/**
 * Our facts against what real servers do: random statements of every kind run on scratch schemas, and whatever a server
 * read, wrote, ran or changed must be in the facts. QUERYCOP_TEST_SCALE=full runs more; bench/effects-oracle.ts also takes
 * the servers' own grammars and corpora, and shows what differs.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after } from "node:test";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import type { ServerKind } from "../support/accounts.ts";
import { Dice } from "../support/digest-oracle.ts";
import { e2e } from "../support/e2e-test.ts";
import { contextOf, underReports } from "../support/effects-compare.ts";
import { effectsGrammar, makeText } from "../support/effects-grammar.ts";
import { isLetThrough } from "../support/effects-policy.ts";
import { EffectsServer } from "../support/effects-server.ts";

const CASES = process.env["QUERYCOP_TEST_SCALE"] === "full" ? 5_000 : 60;
const TIMEOUT_MS = 20 * 60_000;
const ODDITIES = [0, 0.03, 0.1, 0.3];
const DEPTHS = [5, 8, 11];

const KINDS: readonly ServerKind[] = ["mysql", "mariadb11"];
const servers = new Map<ServerKind, EffectsServer>();
for (const kind of KINDS) servers.set(kind, await EffectsServer.start(kind));
after(async () => {
  for (const server of servers.values()) await server.stop();
});

for (const kind of KINDS) {
  for (const mode of ["", "ANSI"]) {
    e2e(
      `${kind}: the facts leave out nothing that random statements do with sql_mode "${mode}"`,
      async () => {
        const server = servers.get(kind);
        assert.ok(server, `${kind} runs`);
        const grammar = effectsGrammar(kind);
        assert.deepEqual(grammar.endless(), []);
        const inFile = join(server.outFolder, "..", "in.txt");
        writeFileSync(inFile, "21,1,x\n22,2,y\n");
        await server.useMode(mode);
        const dice = new Dice(mode.length + 1);
        const missed: string[] = [];
        const nothing = analyze(Buffer.from("SELECT 1"), contextOf(kind, mode));
        let accepted = 0;
        let visible = 0;
        for (let index = 0; index < CASES; index++) {
          const outFile = join(server.outFolder, `out${index}`);
          const options = { mode, oddity: dice.pick(ODDITIES), depth: dice.pick(DEPTHS), inFile, outFile };
          const text = makeText(dice, grammar, options);
          const sql = Buffer.from(text);
          const observation = await server.observe(sql);
          if (observation.statements.every(({ errorNumber }) => errorNumber === 0)) accepted++;
          if (underReports(nothing, observation).length > 0) visible++;
          for (const line of underReports(analyze(sql, contextOf(kind, mode)), observation)) {
            missed.push(`${line}: ${JSON.stringify(text)}`);
          }
          if (isLetThrough(sql, kind, mode, observation)) missed.push(`let through: ${JSON.stringify(text)}`);
        }
        assert.deepEqual(missed, []);
        assert.ok(accepted > CASES / 3, `${accepted} of ${CASES} accepted`);
        assert.ok(visible > CASES / 2, `facts that say nothing would be noticed at ${visible} of ${CASES}`);
      },
      TIMEOUT_MS,
    );
  }
}
