/** What holds for every text: made by chance, cut down to the smallest text that breaks it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decide } from "../../src/policy/decide.ts";
import { DEFAULT_POLICY } from "../../src/policy/policy.ts";
import { contextFor, subjectFor } from "../../src/policy/tools/tool-context.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { Digest } from "../../src/sql/mysql/digest/digest.ts";
import { charsetRules } from "../../src/sql/mysql/lexing/character-classes.ts";
import { DEFAULT_RULES, Lexer, type LexRules, MARK_OVER_BUDGET } from "../../src/sql/mysql/lexing/lexer.ts";

const RUNS = process.env["QUERYCOP_TEST_SCALE"] === "full" ? 200_000 : 2_000;
const TOKENS_MAX = 10_000;

/** Pieces that lexers stumble over; between them anything. */
const PIECES = [
  ..."' \" ` \\ -- # /* */ /*! /*!50000 /*!999999 /*M! /*+ // ; , ( ) . @ @@ $$ $a$ 0x 0b x' b' n' _utf8' 1e 1.e 1e+ :=".split(
    " ",
  ),
  ..."<=> != << -> ->> ? {d NULL select union from where insert count count( in values a 1 é 'a' `b`".split(" "),
  ...[" ", "\n", "\t", "\v", "\u0000", "\u00a0", "-- \n", "--\u0001", "'\\'", "''", "/**/"],
];

const bytes: fc.Arbitrary<Uint8Array> = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...PIECES).map((text) => Buffer.from(text)) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 4 }).map((some) => Buffer.from(some)) },
    ),
    { maxLength: 24 },
  )
  .map((parts) => new Uint8Array(Buffer.concat(parts)));

const CHARSETS =
  "utf8mb4 latin1 ascii binary gbk gb18030 big5 sjis cp932 euckr ujis gb2312 hp8 cp1250 latin7 keybcs2 swe7".split(" ");

const rules: fc.Arbitrary<LexRules> = fc
  .record({
    dialect: fc.constantFrom("mysql" as const, "mariadb" as const, "vitess" as const),
    ansiQuotes: fc.boolean(),
    backslashEscapes: fc.boolean(),
    ignoreSpace: fc.boolean(),
    dollarQuotes: fc.boolean(),
    slashComments: fc.boolean(),
    anyDashComments: fc.boolean(),
    sixDigitVersions: fc.boolean(),
    versionMax: fc.constantFrom(50700, 80036, 90704, 101119, 999_999),
    charset: fc.constantFrom(...CHARSETS).map(charsetRules),
  })
  .map((some) => ({ ...DEFAULT_RULES, ...some }));

function lexed(sql: Uint8Array, how: LexRules): Lexer {
  const lexer = new Lexer();
  lexer.start(sql, how, TOKENS_MAX);
  assert.equal(lexer.run(sql.length), true);
  return lexer;
}

/** Tokens and gaps as [start, end), in the order of the text. */
function pieces(lexer: Lexer): [number, number][] {
  const found: [number, number][] = [];
  for (let i = 0; i < lexer.count; i++) found.push([lexer.starts[i] as number, lexer.ends[i] as number]);
  for (let i = 0; i < lexer.commentCount; i++) {
    found.push([lexer.comments[i * 3] as number, lexer.comments[i * 3 + 1] as number]);
  }
  return found.sort(([a, b], [c, d]) => a - c || b - d);
}

function isBlank(byte: number, how: LexRules): boolean {
  return (byte >= 9 && byte <= 13) || byte === 32 || byte === how.charset.highSpace;
}

test("Lexer ends on every text, and every byte is in one token, in one gap or a blank", () => {
  const holds = (sql: Uint8Array, how: LexRules): void => {
    const lexer = lexed(sql, how);
    assert.equal(lexer.marks & MARK_OVER_BUDGET, 0);
    let at = 0;
    for (const [start, end] of [...pieces(lexer), [sql.length, sql.length] as const]) {
      assert.ok(start >= at && end >= start && end <= sql.length, `${start} to ${end} after ${at}`);
      // NULs at the very end are dropped, as the server drops them.
      const between = [...sql.subarray(at, start)].filter((byte) => !isBlank(byte, how));
      const isEnd = start === sql.length;
      assert.ok(
        between.every((byte) => isEnd && byte === 0),
        `lost between ${at} and ${start}`,
      );
      at = end;
    }
  };
  fc.assert(fc.property(bytes, rules, holds), { numRuns: RUNS });
});

test("Lexer reads the same tokens in slices of any size", () => {
  const holds = (sql: Uint8Array, how: LexRules, size: number): void => {
    const whole = lexed(sql, how);
    const sliced = new Lexer();
    sliced.start(sql, how, TOKENS_MAX);
    for (let until = size; !sliced.run(until); until += size);
    const columns = ({ kinds, starts, ends, flags, count }: Lexer): unknown =>
      [kinds, starts, ends, flags].map((column) => [...column.subarray(0, count)]);
    assert.deepEqual(columns(sliced), columns(whole));
    assert.equal(sliced.marks, whole.marks);
  };
  fc.assert(fc.property(bytes, rules, fc.integer({ min: 1, max: 9 }), holds), { numRuns: RUNS });
});

test("Lexer keeps to its budget of tokens and gaps", () => {
  const holds = (sql: Uint8Array, how: LexRules, most: number): void => {
    const lexer = new Lexer();
    lexer.start(sql, how, most);
    assert.equal(lexer.run(sql.length), true);
    // The last step may give a handful of tokens at once: a dotted name, a variable, the end of a hint.
    assert.ok(lexer.count <= most + 2 * sql.length && lexer.commentCount <= most);
  };
  fc.assert(fc.property(bytes, rules, fc.integer({ min: 1, max: 5 }), holds), { numRuns: RUNS });
});

function digestOf(sql: string): string {
  const lexer = lexed(Buffer.from(sql), DEFAULT_RULES);
  const digest = new Digest();
  digest.start();
  digest.consume(lexer, 0, lexer.count);
  return digest.text();
}

/** A statement as parts: those in angle brackets stand for literals, blanks for gaps. */
const TEMPLATES = [
  "SELECT a , b FROM t WHERE c = <> AND d IN ( <> , <> , <> ) ORDER BY e LIMIT <>",
  "INSERT INTO t ( a , b ) VALUES ( <> , <> ) , ( <> , <> )",
  "UPDATE t SET a = <> , b = b + <> WHERE c LIKE <> OR d BETWEEN <> AND <>",
  "DELETE FROM t WHERE a <=> <> AND NOT b != <>",
  "SELECT CASE a WHEN <> THEN <> ELSE <> END FROM `s` . `t` AS x GROUP BY b HAVING MAX( c ) >= <>",
  "CALL p ( <> , @v , <> )",
];

const gap = fc.constantFrom(" ", "  ", "\n", "\t", "\v", "\r\n", " /* x */ ", " -- y\n", " # z\n", "/**/ ", " /*! */ ");
const literal = fc.oneof(
  fc.integer({ min: 0 }).map(String),
  fc.constantFrom("0", "1.5", ".5", "1e10", "0x41", "x'41'", "b'01'", "'it''s'", '"a"', "'\\''", "?"),
  fc.string({ maxLength: 12 }).map((text) => `'${text.replaceAll(/['\\\0]/g, "")}'`),
);

function filled(template: string, gaps: readonly string[], literals: readonly string[]): string {
  let used = 0;
  let text = "";
  for (const [index, part] of template.split(" ").entries()) {
    if (index > 0) text += gaps[index % gaps.length];
    text += part === "<>" ? literals[used++ % literals.length] : part;
  }
  return text;
}

test("a digest does not change with comments, blanks and the values of literals", () => {
  const holds = (template: string, gaps: readonly string[], literals: readonly string[]): void => {
    const plain = digestOf(filled(template, [" "], ["1"]));
    assert.equal(digestOf(filled(template, gaps, literals)), plain);
  };
  const lists = [
    fc.array(gap, { minLength: 1, maxLength: 9 }),
    fc.array(literal, { minLength: 1, maxLength: 9 }),
  ] as const;
  fc.assert(fc.property(fc.constantFrom(...TEMPLATES), ...lists, holds), { numRuns: RUNS });
});

test("a text that has several readings scores at least what each of them scores alone", () => {
  const unknown = {
    ...contextFor({}),
    dialect: "unknown",
    serverVersion: undefined,
    sqlMode: "unknown",
    charset: "unknown",
  } as const;
  const subject = subjectFor({});
  const scoreOf = (analysis: ReturnType<typeof analyze>): number =>
    decide(analysis, subject, DEFAULT_POLICY, { wallMs: 0 }).score;
  const holds = (sql: Uint8Array): void => {
    const all = analyze(sql, unknown);
    const worst = decide(all, subject, DEFAULT_POLICY, { wallMs: 0 });
    const actions = ["allow", "warn", "require-approval", "block"];
    for (const reading of all.readings) {
      const alone = { ...all, ...reading, readings: [reading] };
      const decision = decide(alone, subject, DEFAULT_POLICY, { wallMs: 0 });
      assert.ok(actions.indexOf(worst.action) >= actions.indexOf(decision.action));
      if (worst.action === decision.action) assert.ok(worst.score >= scoreOf(alone));
    }
  };
  const statement = fc.tuple(fc.constantFrom("select 1 from t where a = ", "select ", ""), bytes);
  const texts = statement.map(([head, rest]) => new Uint8Array(Buffer.concat([Buffer.from(head), rest])));
  fc.assert(fc.property(texts, holds), { numRuns: RUNS / 2 });
});
