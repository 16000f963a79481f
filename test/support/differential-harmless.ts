/** Lists as applications and their drivers send them: what is refused of these is a false alarm. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type SessionList, type Step, UTF8MB4 } from "./differential-lists.ts";
import { isMariadb, once, type Scene, utf8 } from "./differential-text.ts";

const PREAMBLES = fileURLToPath(new URL("../policy/preambles", import.meta.url));

/** What drivers and tools send by themselves, a statement per line. */
const PREAMBLE_LINES = readdirSync(PREAMBLES).flatMap((name) =>
  readFileSync(`${PREAMBLES}/${name}`, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("--") && !/\bKILL\b/i.test(line))
    .map(utf8),
);

const STRINGS = [
  "'plain'",
  "'it''s'",
  "'a\\\\b'",
  "'say \"hi\"'",
  "'gr\xc3\xbc\xc3\x9fe'",
  "'-- not a comment'",
  "'a;b'",
];

/** Lines that stand by themselves; several in one entry belong together. */
function ordinary({ dice, free, guarded, isReadOnly, kind }: Scene): readonly string[] {
  const text = dice.pick(STRINGS);
  const reads: readonly (readonly string[])[] = [
    ["SET NAMES utf8mb4"],
    ["SET NAMES latin1"],
    ["SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_ci'"],
    ["SET sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'"],
    ["SET SESSION sql_mode = 'ANSI_QUOTES'", `SELECT "name" FROM ${free}.pub WHERE "id" = 1`, "SET sql_mode = ''"],
    ["SET time_zone = '+00:00', autocommit = 1"],
    [`USE ${free}`, "SELECT name FROM pub WHERE id = 1"],
    [`SELECT id, ${text} AS label FROM ${free}.pub WHERE name = ${text}`],
    [`SELECT login FROM ${guarded}.member WHERE id = 1`],
    [`SELECT note FROM ${guarded}.orders WHERE tenant_id = 7 AND note <> ${text}`],
    ["START TRANSACTION", `SELECT COUNT(*) FROM ${free}.pub`, "COMMIT"],
    [`PREPARE s FROM 'SELECT name FROM ${free}.pub WHERE id = ?'`, "SET @id = 1", "EXECUTE s USING @id"],
    [`SET @q = 'SELECT COUNT(*) FROM ${free}.pub'`, "PREPARE s FROM @q", "EXECUTE s", "DEALLOCATE PREPARE s"],
    [`SELECT p.name FROM ${free}.pub AS p JOIN ${free}.member AS m ON m.id = p.id WHERE m.login LIKE 'a%'`],
    ["SELECT 1", "SELECT @@sql_mode", "SHOW WARNINGS"],
    [`SELECT name FROM ${free}.pub ORDER BY id LIMIT 10 OFFSET 0`],
    [
      "/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */",
      "/*!40101 SET SQL_MODE=@OLD_SQL_MODE */",
    ],
  ];
  const writes: readonly (readonly string[])[] = [
    [`REPLACE INTO ${free}.pub (id, name) VALUES (1, 'public'), (2, ${text})`],
    [`UPDATE ${free}.pub SET name = ${text} WHERE id = 2`],
    ["BEGIN", `DELETE FROM ${free}.pub WHERE id = 3`, "ROLLBACK"],
    [`UPDATE ${guarded}.orders SET total = total + 1 WHERE tenant_id = 7 AND id = 1`],
    [`CALL ${free}.p10()`],
  ];
  const compound = [[`BEGIN NOT ATOMIC SELECT name FROM ${free}.pub; END`]];
  return dice.pick([...reads, ...(isReadOnly ? [] : writes), ...(isMariadb({ kind }) && !isReadOnly ? compound : [])]);
}

export function makeHarmless(scene: Scene): SessionList {
  const { dice } = scene;
  const blocks = 4 + dice.below(8);
  const steps = Array.from({ length: blocks }, (): readonly string[] =>
    once(dice, 3) ? [dice.pick(PREAMBLE_LINES)] : ordinary(scene),
  ).flat();
  return {
    user: scene.isReadOnly ? "reader" : "writer",
    characterSet: once(dice, 4) ? 8 : UTF8MB4,
    schema: scene.free,
    tracksSession: once(dice, 2),
    perPacket: [once(dice, 3) ? 2 : 1],
    isLong: [],
    isPipelined: false,
    steps: steps.map((text): Step => ({ do: "query", text: text.replace(/;\s*$/, ""), tags: ["harmless"] })),
  };
}
