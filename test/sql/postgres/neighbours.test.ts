/**
 * What is said of PostgreSQL's statements of every form and of texts a small step from them, under some policies, in
 * sessions that read them in this way or that: some thousands, too many to be read. test/golden/postgres-neighbours.txt
 * holds a sum for each statement. `POSTGRES_NEIGHBOURS='TABLE t'` prints what is behind its line, to be compared with
 * what it prints in another commit.
 */
import { createHash } from "node:crypto";
import { before, test } from "node:test";
import { assertGoldenPart } from "../../config/golden.ts";
import { postgresAnswer } from "../../support/postgres-answers.ts";
import { readyToParse } from "../../support/postgres-context.ts";
import { POSTGRES_TEXTS, postgresNeighbours } from "../../support/postgres-texts.ts";

const TIMEOUT_MS = 120_000;
const STEP = 9;

before(readyToParse);

for (const [title, texts] of Object.entries(POSTGRES_TEXTS)) {
  test(`judges say of the neighbours of ${title} what test/golden/postgres-neighbours.txt holds`, {
    timeout: TIMEOUT_MS,
  }, () => {
    const lines = texts.map((text) => {
      const hash = createHash("sha256");
      let index = text.length;
      for (const neighbour of postgresNeighbours(
        text,
        title.startsWith("made") || title === "lists" ? 5 * STEP : STEP,
      )) {
        const answer = postgresAnswer(neighbour, index++);
        if (process.env["POSTGRES_NEIGHBOURS"] === text) console.log(`${neighbour}\t${answer}`);
        hash.update(answer);
      }
      return `${hash.digest("hex").slice(0, 8)} ${JSON.stringify(text.slice(0, 120)).slice(1, -1)}`;
    });
    assertGoldenPart("postgres-neighbours.txt", title, lines);
  });
}
