/**
 * What the built-in policy says of statements of every form, as a page to read: test/golden/scores.txt. A change of points
 * shows there; QUERYCOP_UPDATE_GOLDEN=1 writes it anew.
 */
import { test } from "node:test";
import { assertGolden } from "../config/golden.ts";
import { STATEMENT_TEXTS } from "../support/statement-texts.ts";
import { decideText } from "./policy-fixture.ts";

test("decide() says of statements of every form what test/golden/scores.txt holds", () => {
  const lines = STATEMENT_TEXTS.flatMap(({ title, context, texts }) => [
    `# ${title}`,
    "",
    ...texts.flatMap((text) => {
      const { enforcedAction, score, rules } = decideText(text, { context, subject: { schema: "app" } });
      return [
        text,
        `  ${enforcedAction} ${score}`,
        ...rules.map(({ id, points, reason }) => `  ${id} ${points}: ${reason}`),
        "",
      ];
    }),
  ]);
  assertGolden("scores.txt", lines.join("\n"));
});
