/**
 * What is said of texts that grow by one piece at a time past every limit on numbers and lengths: at each border too, so
 * that a limit that moves by one is seen. test/golden/grown-texts.txt holds sums of some thousands; `GROWN_TEXTS='joins'`
 * prints what is behind a line, to be compared with what it prints in another commit.
 */
import { createHash } from "node:crypto";
import { before, test } from "node:test";
import { assertGoldenPart } from "../config/golden.ts";
import { countsOf, GROWN_POSTGRES_TEXTS, GROWN_TEXTS } from "../support/grown-texts.ts";
import { answerTo } from "../support/neighbour-answers.ts";
import { postgresAnswer } from "../support/postgres-answers.ts";
import { readyToParse } from "../support/postgres-context.ts";

const TIMEOUT_MS = 120_000;

before(readyToParse);

const WINGS = [
  ["MySQL", GROWN_TEXTS, (text: string, count: number) => JSON.stringify(answerTo(text, count >> 2))],
  ["PostgreSQL", GROWN_POSTGRES_TEXTS, (text: string, count: number) => postgresAnswer(text, count)],
] as const;

for (const [wing, texts, answer] of WINGS) {
  for (const [name, [reach, grow]] of Object.entries(texts)) {
    const title = `${wing}: ${name}`;
    test(`test/golden/grown-texts.txt holds what is said of ${title}`, { timeout: TIMEOUT_MS }, () => {
      const sums = new Map<number, ReturnType<typeof createHash>>();
      for (const count of countsOf(reach)) {
        const said = answer(grow(count), count);
        if (process.env["GROWN_TEXTS"] === name) console.log(`${wing}\t${count}\t${said}`);
        const size = 2 ** Math.ceil(Math.log2(count + 3));
        if (!sums.has(size)) sums.set(size, createHash("sha256"));
        sums.get(size)?.update(said);
      }
      const line = [...sums].map(([size, sum]) => `${size}:${sum.digest("hex").slice(0, 6)}`).join(" ");
      assertGoldenPart("grown-texts.txt", title, [line]);
    });
  }
}
