/**
 * What is said of conditions of every pair of operands, in statements that read and that write: some ten thousands, too
 * many to be read. test/golden/text-grids.txt holds a sum for each word between them; `TEXT_GRID='IS DISTINCT FROM'` prints
 * what is behind a line, to be compared with what it prints in another commit.
 */
import { createHash } from "node:crypto";
import { before, test } from "node:test";
import { assertGoldenPart } from "../config/golden.ts";
import { answerTo } from "../support/neighbour-answers.ts";
import { postgresAnswer } from "../support/postgres-answers.ts";
import { readyToParse } from "../support/postgres-context.ts";
import { gridTexts, MYSQL_GRID, POSTGRES_GRID } from "../support/text-grids.ts";

const TIMEOUT_MS = 120_000;

before(readyToParse);

const WINGS = [
  ["MySQL", MYSQL_GRID, 5, (text: string, index: number) => JSON.stringify(answerTo(text, index))],
  ["PostgreSQL", POSTGRES_GRID, 7, (text: string, index: number) => postgresAnswer(text, index)],
] as const;

for (const [wing, grid, each, answer] of WINGS) {
  for (const between of grid.between) {
    const title = `${wing}: ${between}`;
    test(`test/golden/text-grids.txt holds what is said of ${title}`, { timeout: TIMEOUT_MS }, () => {
      const hash = createHash("sha256");
      let index = 0;
      for (const text of gridTexts(grid, between, each)) {
        const said = answer(text, index++);
        if (process.env["TEXT_GRID"] === between) console.log(`${text}\t${said}`);
        hash.update(said);
      }
      assertGoldenPart("text-grids.txt", title, [`${index} ${hash.digest("hex").slice(0, 12)}`]);
    });
  }
}
