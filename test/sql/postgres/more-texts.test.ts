/**
 * What is said of changes of every kind of object, of odd names and texts, and of functions in SQL, with all texts a small
 * step from the last two. test/golden/postgres-more.txt holds sums; `POSTGRES_MORE='DOMAIN s.d'` prints what is behind those of a
 * text that holds this.
 */
import { createHash } from "node:crypto";
import { before, test } from "node:test";
import { assertGoldenPart } from "../../config/golden.ts";
import { ALTERS, FUNCTION_TEXTS, ODD_TEXTS } from "../../support/more-postgres-texts.ts";
import { postgresAnswer } from "../../support/postgres-answers.ts";
import { readyToParse } from "../../support/postgres-context.ts";
import { postgresNeighbours } from "../../support/postgres-texts.ts";

before(readyToParse);

const GROUPS = [
  ["changes of every object", ALTERS, undefined],
  ["odd texts", ODD_TEXTS, 2],
  ["functions in SQL", FUNCTION_TEXTS, 2],
] as const;

for (const [title, texts, each] of GROUPS) {
  test(`judges say of ${title} what test/golden/postgres-more.txt holds`, { timeout: 120_000 }, () => {
    const sums = new Map<string, ReturnType<typeof createHash>>();
    for (const [index, text] of texts.entries()) {
      const line = each === undefined ? text.split(" ").slice(0, 2).join(" ") : JSON.stringify(text).slice(1, 120);
      const sum = sums.get(line) ?? createHash("sha256");
      sums.set(line, sum);
      for (const near of each === undefined ? [text] : postgresNeighbours(text, each)) {
        const answer = postgresAnswer(near, index);
        const wanted = process.env["POSTGRES_MORE"];
        if (wanted !== undefined && text.includes(wanted)) console.log(`${near}\t${answer}`);
        sum.update(answer);
      }
    }
    const lines = [...sums].map(([line, sum]) => `${sum.digest("hex").slice(0, 8)} ${line}`);
    assertGoldenPart("postgres-more.txt", title, lines);
  });
}
