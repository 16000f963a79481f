/**
 * What is said of texts a small step from statements of every form, some tens of thousands: too many to be read. So
 * test/golden/neighbours.txt holds a sum for each statement and kind of step, and tells in which statement to look for a
 * change. `bun test/support/neighbour-answers.ts 'SELECT 1'` prints the answers of one, to be compared with what it prints
 * in another commit. The number before a statement is how many steps it took to look at all of them: more of them is
 * slower.
 */
import { createHash } from "node:crypto";
import { test } from "node:test";
import { assertGoldenPart } from "../config/golden.ts";
import { FOUND, OTHERS, QUIET } from "../support/condition-texts.ts";
import { MORE_MYSQL_TEXTS } from "../support/more-mysql-texts.ts";
import { answersOf } from "../support/neighbour-answers.ts";
import { STATEMENT_TEXTS, type StatementTexts } from "../support/statement-texts.ts";

/** Statements of one test. */
const TEXTS_MAX = 12;
const TIMEOUT_MS = 60_000;

const CONDITIONS: StatementTexts = {
  title: "conditions",
  context: {},
  texts: [...FOUND.map(([, text]) => text), ...QUIET, ...OTHERS],
};

function lineOf(text: string, context: StatementTexts["context"]): string {
  let steps = 0;
  const sums = answersOf(text, context).map((answers) => {
    const hash = createHash("sha256");
    for (const { answer, steps: more } of answers) {
      hash.update(JSON.stringify(answer));
      steps += more;
    }
    return hash.digest("hex").slice(0, 6);
  });
  return `${sums.join(" ")} ${steps} ${JSON.stringify(text).slice(1, -1)}`;
}

for (const { title, context, texts } of [...STATEMENT_TEXTS, CONDITIONS, ...MORE_MYSQL_TEXTS]) {
  for (let from = 0; from < texts.length; from += TEXTS_MAX) {
    const some = texts.slice(from, from + TEXTS_MAX);
    const name = `${title} ${from + 1} to ${from + some.length}`;
    test(`decide() says of the neighbours of ${name} what test/golden/neighbours.txt holds`, {
      timeout: TIMEOUT_MS,
    }, () => {
      const lines = some.map((text) => lineOf(text, context));
      assertGoldenPart("neighbours.txt", name, lines);
    });
  }
}
