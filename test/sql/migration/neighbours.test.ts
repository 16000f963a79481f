/**
 * What becomes of MySQL's definitions a small step from those of whole schemas: a word left out, exchanged with the next, or
 * replaced. test/golden/migration-neighbours.txt holds a sum for each; `MIGRATION_NEIGHBOURS=keys` prints what is behind its
 * line, to be compared with what it prints in another commit.
 */
import { createHash } from "node:crypto";
import { before, test } from "node:test";
import { parseMysqlSchema } from "../../../src/sql/migration/ddl-parser.ts";
import { toDsql } from "../../../src/sql/migration/dsql-schema.ts";
import { doubtsOf, renderSchema, summaryOf } from "../../../src/sql/migration/report.ts";
import { DsqlRuleSet } from "../../../src/sql/postgres/dsql/rule-set.ts";
import { assertGoldenPart } from "../../config/golden.ts";
import { readyToParse } from "../../support/postgres-context.ts";

const TIMEOUT_MS = 120_000;
before(readyToParse);
const rules = new DsqlRuleSet("2026-11-30");

const many = (count: number, of: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => of(index)).join(", ");

const SCHEMAS: Readonly<Record<string, string>> = {
  columns: `CREATE TABLE IF NOT EXISTS \`Shop\`.\`T\` (
    a bigint(20) unsigned NOT NULL AUTO_INCREMENT COMMENT 'it''s', b tinyint(1) DEFAULT '1', c tinyint(1) DEFAULT TRUE,
    d decimal(10, 2) UNSIGNED ZEROFILL DEFAULT -1.5, e float(7, 3) SIGNED DEFAULT 1e3, f double PRECISION DEFAULT 0,
    g varchar(255) CHARACTER SET latin1 COLLATE latin1_swedish_ci DEFAULT '' NOT NULL, h NATIONAL VARCHAR(20) DEFAULT N'x',
    i char(36) DEFAULT (UUID()), j binary(16) DEFAULT (uuid_to_bin(uuid())), k varbinary(9) DEFAULT X'4F', l bit(3) DEFAULT b'101',
    m datetime(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), n timestamp NULL DEFAULT NOW(), o date DEFAULT '0000-00-00',
    p time DEFAULT '10:00:00', q year(4) DEFAULT 2020, r enum('a','b''c') DEFAULT 'a', s set('x','y'), t json DEFAULT (json_array()),
    u mediumtext, v longblob, w geometry NOT NULL, x int GENERATED ALWAYS AS (a + 1) STORED, y int AS (a) VIRTUAL, z datetime DEFAULT NULL
  ) ENGINE=InnoDB AUTO_INCREMENT=42 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci COMMENT='x' ROW_FORMAT=DYNAMIC`,
  "more columns": `CREATE TEMPORARY TABLE t2 (
    a SERIAL, b int PRIMARY KEY, c int UNIQUE KEY, d int UNIQUE, e int KEY, f int REFERENCES other (id) ON DELETE SET NULL ON UPDATE NO ACTION MATCH FULL,
    g int CHECK (g > 1 AND g < 5), h int DEFAULT (1 + 2), i int DEFAULT (f(1)), j varchar(9) DEFAULT _utf8mb4'x', k date DEFAULT '2020-00-01',
    l date DEFAULT 5, m datetime DEFAULT '2020-01-01 10:00:00', n int DEFAULT 'x', o int DEFAULT '12', p blob DEFAULT '', q blob DEFAULT 'x',
    r boolean DEFAULT '0', s bit(64) DEFAULT b'1', t char VARYING(5), u int INVISIBLE, v double DEFAULT 1., w numeric DEFAULT -0.5, x date DEFAULT (CURRENT_DATE),
    y datetime DEFAULT LOCALTIMESTAMP, z int DEFAULT FALSE COLUMN_FORMAT FIXED STORAGE MEMORY
  ) PARTITION BY HASH (a) PARTITIONS 4`,
  keys: `CREATE TABLE a (id int, b int, c varchar(200), d text, e geometry, PRIMARY KEY (id, b) USING BTREE, UNIQUE KEY u (b, c(10)), UNIQUE INDEX (c),
    KEY k (c(5) DESC, b ASC), INDEX x ((lower(c))), KEY y ((b + 1), c), UNIQUE v ((json_extract(d, '$.a'))), FULLTEXT KEY ft (d) WITH PARSER ngram, SPATIAL INDEX sp (e),
    KEY (${many(9, (index) => `c${index}`)}), CONSTRAINT ck CHECK (b > 0), CHECK (c REGEXP 'x') NOT ENFORCED, CONSTRAINT CHECK (b <> 5),
    CONSTRAINT fk FOREIGN KEY (b) REFERENCES z (id) ON DELETE CASCADE, FOREIGN KEY fx (b, id) REFERENCES missing, FOREIGN KEY (id) REFERENCES a (id) ON UPDATE RESTRICT ON DELETE SET DEFAULT);
    CREATE TABLE z (id int PRIMARY KEY, a int, CONSTRAINT back FOREIGN KEY (a) REFERENCES a (id));
    CREATE UNIQUE INDEX later USING HASH ON z (a DESC); CREATE FULLTEXT INDEX f2 ON z (a); CREATE INDEX none ON nowhere (a)`,
  "many keys": `CREATE TABLE m (${many(30, (index) => `c${index} int`)}, PRIMARY KEY (c0), ${many(26, (index) => `KEY k${index} (c${index})`)}, UNIQUE (c1))`,
  "other statements": `/*!40101 SET NAMES utf8 */; CREATE DATABASE IF NOT EXISTS d; USE d; DROP TABLE IF EXISTS q;
    CREATE TABLE q (id int NOT NULL, n int); INSERT INTO q VALUES (1, ';'), (2, '\\\\'); LOCK TABLES q WRITE;
    ALTER TABLE q ADD PRIMARY KEY (id), MODIFY id int NOT NULL AUTO_INCREMENT, AUTO_INCREMENT=7; ALTER TABLE q ADD COLUMN p int, ADD KEY (n), DISABLE KEYS;
    ALTER TABLE q ADD CONSTRAINT g FOREIGN KEY (n) REFERENCES q (id), DROP COLUMN n; ALTER TABLE none ADD x int; ALTER TABLE q MODIFY COLUMN unknown int;
    CREATE TRIGGER tr BEFORE INSERT ON q FOR EACH ROW SET NEW.n = 1; CREATE PROCEDURE p() SELECT 1; CREATE FUNCTION f() RETURNS int RETURN 1; CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1;
    CREATE OR REPLACE ALGORITHM=UNDEFINED DEFINER=\`r\`@\`%\` SQL SECURITY DEFINER VIEW v AS SELECT * FROM q; CREATE TABLE bad (x strange); CREATE TABLE l LIKE q -- x
    # y`,
};

const PIECE = /'(?:[^']|'')*'?|`[^`]*`?|\w+|\s+|./gsu;
const OTHERS = [
  ..."NULL|NOT|DEFAULT|'x'|5|-|(|)|,|;|KEY|PRIMARY|UNIQUE|CHECK|REFERENCES|ON|COMMENT|int|text|a|id|ON DELETE CASCADE|(a)|ZEROFILL|datetime(6)|tinyint(1)|`Q`".split(
    "|",
  ),
];

function* neighbours(text: string): Generator<string> {
  yield text;
  const pieces: string[] = text.match(PIECE) ?? [];
  const words = pieces.flatMap((piece, at) => (/^\s+$/.test(piece) ? [] : [at]));
  for (const [index, at] of words.entries()) {
    const next = words[index + 1];
    yield pieces.with(at, "").join("");
    if (next !== undefined) {
      yield pieces
        .with(at, pieces[next] ?? "")
        .with(next, pieces[at] ?? "")
        .join("");
    }
    yield pieces.with(at, OTHERS[(index * 7) % OTHERS.length] ?? "").join("");
    yield pieces.with(at, `${pieces[at]} ${OTHERS[(index * 5 + 3) % OTHERS.length]}`).join("");
  }
  yield text.slice(0, text.length >> 1);
}

/** Of so many, what PostgreSQL's grammar makes of the result is asked too. */
const CHECKED_EVERY = 40;

for (const [title, text] of Object.entries(SCHEMAS)) {
  test(`the neighbours of ${title} become what test/golden/migration-neighbours.txt holds`, {
    timeout: TIMEOUT_MS,
  }, () => {
    const sums: string[] = [];
    let hash = createHash("sha256");
    let count = 0;
    for (const neighbour of neighbours(text)) {
      const schema = parseMysqlSchema(neighbour);
      const written = toDsql(schema);
      const doubts = count % CHECKED_EVERY === 0 ? doubtsOf(written, rules) : [];
      const answer = [
        renderSchema(schema, written),
        summaryOf(written),
        ...doubts.map((doubt) => JSON.stringify(doubt)),
      ];
      if (process.env["MIGRATION_NEIGHBOURS"] === title) console.log(neighbour, answer.join("\n"));
      hash.update(answer.join("\n"));
      if (++count % CHECKED_EVERY !== 0) continue;
      sums.push(hash.digest("hex").slice(0, 8));
      hash = createHash("sha256");
    }
    assertGoldenPart("migration-neighbours.txt", title, [...sums, hash.digest("hex").slice(0, 8)]);
  });
}
