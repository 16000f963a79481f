import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Lexer, LIMITS, MARK, TOKEN } from "../../../src/sql/postgres/lexing/lexer.ts";
import { type Grammar, newGrammar } from "../../../src/sql/postgres/parser/library.ts";
import { assertGrowth } from "../../support/growth.ts";
import { randomFrom } from "../../support/random.ts";

const encoder = new TextEncoder();
const lexer = new Lexer();

interface Lexed {
  readonly kinds: readonly number[];
  readonly texts: readonly string[];
  readonly marks: number;
}

function lex(sql: string, reading: "standard" | "escape" = "standard"): Lexed {
  const bytes = encoder.encode(sql);
  lexer.run(bytes, reading);
  const kinds = [...lexer.kinds.subarray(0, lexer.count)];
  const decoder = new TextDecoder();
  const texts = kinds.map((_, index) => decoder.decode(bytes.subarray(lexer.starts[index], lexer.ends[index])));
  return { kinds, texts, marks: lexer.marks };
}

const COMMENTS = new Set(["SQL_COMMENT", "C_COMMENT"]);

/** Numbers of the grammar's tokens, by our kinds. */
const TYPES: Readonly<Record<number, number>> = {
  258: TOKEN.WORD,
  259: TOKEN.UNICODE_NAME,
  // A whole number that fits no integer is one of these.
  260: TOKEN.INTEGER,
  261: TOKEN.STRING,
  262: TOKEN.UNICODE_STRING,
  263: TOKEN.BIT_STRING,
  264: TOKEN.HEX_STRING,
  265: TOKEN.OPERATOR,
  266: TOKEN.INTEGER,
  267: TOKEN.PARAMETER,
};

/** The library leaves control characters and halves of characters in its JSON's texts as they are. */
const SCANNED = /\{"start":(\d+),"end":(\d+),"text":".*?","tokenType":(\d+),"tokenName":"(\w+)"/gs;

/** The server's tokens as "start-end kind"; undefined where it refuses the text. */
function scanned(grammar: Grammar, bytes: Uint8Array): string | undefined {
  const json = grammar.scan(bytes);
  if (json === undefined) return undefined;
  return [...json.matchAll(SCANNED)]
    .filter(([, , , , name = ""]) => !COMMENTS.has(name))
    .map(([, start, end, type]) => {
      const number = Number(type);
      const kind = TYPES[number] ?? (number > 276 ? TOKEN.WORD : number < 256 ? "self" : TOKEN.OPERATOR);
      return `${start}-${end} ${kind}`;
    })
    .join(" ");
}

const SAME_KIND: Readonly<Record<number, number>> = {
  [TOKEN.DECIMAL]: TOKEN.INTEGER,
  [TOKEN.QUOTED_NAME]: TOKEN.WORD,
  [TOKEN.ESCAPE_STRING]: TOKEN.STRING,
  [TOKEN.DOLLAR_STRING]: TOKEN.STRING,
};

function ours(bytes: Uint8Array): string | undefined {
  lexer.run(bytes, "standard");
  if ((lexer.marks & (MARK.ERROR | MARK.UNTERMINATED)) !== 0) return undefined;
  return Array.from({ length: lexer.count }, (_, index) => {
    const start = lexer.starts[index] as number;
    const end = lexer.ends[index] as number;
    const kind = lexer.kinds[index] as number;
    const isSelf =
      kind === TOKEN.PUNCTUATION ||
      kind === TOKEN.OTHER ||
      (kind === TOKEN.OPERATOR && end - start === 1 && isSelfOperator(bytes[start]));
    return `${start}-${end} ${isSelf ? "self" : (SAME_KIND[kind] ?? kind)}`;
  }).join(" ");
}

const isSelfOperator = (byte: number | undefined): boolean =>
  byte !== undefined && "+-*/%^<>=".includes(String.fromCharCode(byte));

/** Pieces that meet in odd ways. */
const PIECES = [
  "select",
  "a",
  "x",
  "E",
  "e",
  "B",
  "b",
  "X",
  "n",
  "N",
  "U&",
  "u&",
  "U",
  "'",
  "''",
  '"',
  '""',
  "\\",
  "\\'",
  "$",
  "$$",
  "$a$",
  "$a",
  "$1",
  "$12",
  "1",
  "0x1F",
  "0b1",
  "0o7",
  "0b2",
  "1_000",
  "1__0",
  "_",
  "1.",
  ".5",
  "1.5",
  "..",
  ".",
  "e5",
  "e+5",
  "E-",
  "1e",
  "::",
  ":=",
  "=>",
  ":",
  "<",
  "<=",
  ">=",
  "<>",
  "!=",
  "=",
  "+",
  "-",
  "*",
  "/",
  "@",
  "#",
  "~",
  "!",
  "%",
  "^",
  "&",
  "|",
  "`",
  "?",
  "->>",
  "--",
  "/*",
  "*/",
  "\n",
  "\r",
  "\t",
  "\f",
  "\v",
  " ",
  " ",
  "(",
  ")",
  "[",
  "]",
  ",",
  ";",
  "\u00a0",
  "ä",
  "\u{1f600}",
  "uescape",
  "'ab'",
  "E'\\n'",
  "{",
  "}",
];

describe("Lexer", () => {
  test("finds the same tokens as the server's scanner in any text", async () => {
    const grammar = await newGrammar();
    const random = randomFrom(20261130);
    const count = Number(process.env["QUERYCOP_LEXER_TEXTS"] ?? 6_000);
    for (let round = 0; round < count; round++) {
      let sql = "";
      const size = 1 + Math.floor(random() * 9);
      for (let piece = 0; piece < size; piece++) sql += PIECES[Math.floor(random() * PIECES.length)];
      // The library keeps comments as tokens, and for that does not go on with a string behind one, as servers do.
      if (/'\s*--/.test(sql)) continue;
      const bytes = encoder.encode(sql);
      assert.equal(ours(bytes), scanned(grammar, bytes), JSON.stringify(sql));
    }
  });

  test("goes on with a string on a later line, also behind a comment, and not on the same line", () => {
    assert.deepEqual(lex("'a'\n'b', 'c' -- d\n 'e', 'f' 'g'").texts, [
      "'a'\n'b'",
      ",",
      "'c' -- d\n 'e'",
      ",",
      "'f'",
      "'g'",
    ]);
  });

  test("ends a comment of -- at a carriage return too", () => {
    assert.deepEqual(lex("select 1 -- x\r, 2").texts, ["select", "1", ",", "2"]);
  });

  test("nests comments, and says where their depth is not looked through", () => {
    assert.deepEqual(lex("a /* b /* c */ d */ e").texts, ["a", "e"]);
    assert.equal(lex("/*".repeat(LIMITS.commentDepth + 1)).marks & MARK.OVER_LIMIT, MARK.OVER_LIMIT);
  });

  test("reads a plain string with a backslash in both ways", () => {
    assert.deepEqual(lex("'a\\', 2 --'").texts, ["'a\\'", ",", "2"]);
    assert.deepEqual(lex("'a\\', 2 --'", "escape").texts, ["'a\\', 2 --'"]);
    assert.equal(lex("'a\\'").marks & MARK.PLAIN_BACKSLASH, MARK.PLAIN_BACKSLASH);
    assert.equal(lex("E'a\\''").marks & MARK.PLAIN_BACKSLASH, 0);
  });

  test("takes one level of a chain of 8,000 tokens and no longer one", () => {
    assert.equal(lex(`select ${"1+".repeat(3_990)}1`).marks & MARK.OVER_LIMIT, 0);
    assert.equal(lex(`select ${"1+".repeat(4_100)}1`).marks & MARK.OVER_LIMIT, MARK.OVER_LIMIT);
    assert.equal(lex(`select ${"(".repeat(LIMITS.parenthesisDepth + 1)}`).marks & MARK.OVER_LIMIT, MARK.OVER_LIMIT);
    assert.equal(lex(`select a ${"+".repeat(LIMITS.operatorBytes + 1)} b`).marks & MARK.OVER_LIMIT, MARK.OVER_LIMIT);
  });

  test("needs time in proportion to the text, whatever the text", () => {
    const shapes = ["/*", "$a$ ", "$a", "'", "E'\\", "(", "--\n", "1e", "+-", "'x'\n", "U&", "$$ $"];
    for (const shape of shapes) {
      assertGrowth(shape, { from: 20_000, to: 160_000, most: 40 }, (size) => {
        lexer.run(encoder.encode(shape.repeat(Math.ceil(size / shape.length))), "standard");
      });
    }
  });
});
