/**
 * Texts put together from the pieces that lexers stumble over, as every charset, server and mode reads them: their tokens,
 * what the tokens say, digest and facts. test/golden/random-texts.txt holds a sum of many such texts for each way to read.
 * A change there tells that something is read otherwise; the texts come from the seed that the line begins with.
 */
import { createHash } from "node:crypto";
import { test } from "node:test";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { lexForCache } from "../../src/sql/mysql/digest/cache-key.ts";
import { canonicalText } from "../../src/sql/mysql/digest/canonical.ts";
import { Digest } from "../../src/sql/mysql/digest/digest.ts";
import { charsetRules } from "../../src/sql/mysql/lexing/character-classes.ts";
import { DEFAULT_RULES, Lexer, type LexRules } from "../../src/sql/mysql/lexing/lexer.ts";
import { TokenText } from "../../src/sql/mysql/lexing/token-text.ts";
import { assertGoldenPart } from "../config/golden.ts";
import { Dice } from "../support/digest-oracle.ts";

const TEXTS = 60;
const PIECES_MAX = 18;
const TOKENS_MAX = 10_000;
const TIMEOUT_MS = 60_000;

const PIECES = [
  ..."' \" ` \\ -- # /* */ /*! /*!50000 /*!90704 /*!999999 /*!101119 /*M! /*M!100100 /*+ // ; , ( ) . @ @@ $$ $a$ :=".split(
    " ",
  ),
  ..."0x 0b x' b' n' _utf8' 0x4142 x'4a6' 0x123 b'101' 1 12 007 9007199254740991 9007199254740992 1e 1.e 1e+ 1.5e-3 .5".split(
    " ",
  ),
  ..."<=> != << -> ->> && || ? {d NULL select union from where insert values count count( in a t.b é 'a' `b`".split(
    " ",
  ),
  ...[
    "'it''s'",
    "'a\\'b\\n\\%\\_\\0\\Z'",
    '"a""b"',
    "`a``b`",
    "$a$x'y$a$",
    "@`v`",
    "@'v'",
    "@@global.x",
    "_latin1'x'",
    "N'é'",
  ],
  ...[
    " ",
    " ",
    " ",
    " ",
    "\n",
    "\t",
    "\v",
    "\u0000",
    "\u00a0",
    "-- \n",
    "--\u0001",
    "'\\'",
    "''",
    "/**/",
    "# c\n",
    "/* c */",
  ],
  ..."SET_VAR(sql_mode='') BEGIN END PREPARE p FROM EXECUTE IMMEDIATE USING AS OR AND = 1=1 delete drop table database".split(
    " ",
  ),
].map((text) => Buffer.from(text));

const HIGH_BYTES_EVERY = 5;

function textOf(dice: Dice): Buffer {
  const parts = Array.from({ length: 1 + dice.below(PIECES_MAX) }, () =>
    dice.below(HIGH_BYTES_EVERY) === 0
      ? Buffer.from([0x80 + dice.below(0x80), dice.below(0x100)].slice(0, 1 + dice.below(2)))
      : dice.pick(PIECES),
  );
  return Buffer.concat(parts);
}

const CHARSETS =
  "utf8mb4 latin1 ascii binary gbk gb18030 big5 sjis cp932 euckr ujis eucjpms gb2312 hp8 cp1250 latin7 keybcs2 swe7 armscii8 dec8 geostd8 greek hebrew latin2 latin5 cp850 cp852 cp866 macroman koi8r tis620 unknown".split(
    " ",
  );

const MODES: readonly (readonly [name: string, rules: Partial<LexRules>])[] = [
  ["mysql", {}],
  ["mysql ansi", { ansiQuotes: true, backslashEscapes: false, versionMax: 90704, dollarQuotes: true }],
  ["mysql old", { ignoreSpace: true, pipesAsConcat: true, versionMax: 50700, keywordVersion: 50700, highNot: true }],
  ["mariadb", { dialect: "mariadb", versionMax: 101119, sixDigitVersions: true, keywordVersion: 101119 }],
  ["mariadb no escapes", { dialect: "mariadb", versionMax: 110806, backslashEscapes: false, sixDigitVersions: true }],
  ["vitess", { dialect: "vitess", slashComments: true, anyDashComments: true }],
];

const UNUSED = new Uint8Array(0);
const lexer = new Lexer();
const digest = new Digest();

function readingOf(sql: Buffer, rules: LexRules): unknown {
  lexer.start(sql, rules, TOKENS_MAX);
  lexer.run(sql.length);
  const { count, commentCount } = lexer;
  const text = new TokenText({ ...lexer, roles: UNUSED, clauses: UNUSED }, rules);
  const tokens = Array.from({ length: count }, (_, token) => [
    ...[lexer.kinds, lexer.starts, lexer.ends, lexer.flags].map((column) => column[token]),
    ...[text.raw(token), text.name(token), text.string(token), text.upper(token), text.integer(token)],
    ...[text.stringBytes(token), text.hexBytes(token)].map((bytes) => Buffer.from(bytes).toString("latin1")),
    text.isWord(token, "SELECT") || text.isWord(token, "A"),
  ]);
  const comments = [...lexer.comments.subarray(0, commentCount * 3)];
  digest.start();
  digest.consume(lexer, 0, count);
  const canonical = canonicalText(lexer, 4096);
  return [tokens, comments, lexer.marks, lexer.versions, digest.text(), digest.hasHiddenName, canonical];
}

function sumOf(answers: Iterable<unknown>): string {
  const hash = createHash("sha256");
  for (const answer of answers)
    hash.update(JSON.stringify(answer, (_, value) => (typeof value === "bigint" ? `${value}n` : value)) ?? "-");
  return hash.digest("hex").slice(0, 8);
}

for (const [index, characterSet] of CHARSETS.entries()) {
  test(`a client of ${characterSet} is read as test/golden/random-texts.txt holds`, { timeout: TIMEOUT_MS }, () => {
    const lines = MODES.map(([name, more], mode) => {
      const seed = 100 * index + mode;
      const dice = new Dice(seed);
      const texts = Array.from({ length: TEXTS }, () => textOf(dice));
      const rules = { ...DEFAULT_RULES, characterSet, charset: charsetRules(characterSet), ...more };
      const read = sumOf(texts.map((sql) => readingOf(sql, rules)));
      const dialect = rules.dialect;
      const context = {
        ...contextFor({ schema: "app", dialect }),
        charset: characterSet,
        sqlMode: rules.ansiQuotes ? 4 : rules.backslashEscapes ? 0 : 0x100000,
      };
      const found = sumOf(
        texts.map((sql) => {
          const { readings, ambiguities } = analyze(sql, context);
          return [readings, ambiguities, lexForCache(sql, context)];
        }),
      );
      return `${seed} ${name}: ${read} ${found}`;
    });
    assertGoldenPart("random-texts.txt", characterSet, lines);
  });
}
