/**
 * A MySQL server as the judge of our lexer: STATEMENT_DIGEST_TEXT() answers how it splits a text into tokens, for every
 * text that it can parse. Texts are made by mutation, so that they stand where lexers differ.
 */

import { Digest } from "../../src/sql/mysql/digest/digest.ts";
import { charsetRules } from "../../src/sql/mysql/lexing/character-classes.ts";
import { DEFAULT_RULES, Lexer, type LexRules, MARK_ERROR } from "../../src/sql/mysql/lexing/lexer.ts";
import * as T from "../../src/sql/mysql/lexing/token-kinds.ts";
import type { RawClient } from "./raw-client.ts";

/** The sql_modes that change tokens. */
export const LEXER_MODES = ["", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "IGNORE_SPACE"] as const;
export type LexerMode = (typeof LEXER_MODES)[number];

/** Options for the server: long digests are not cut. */
export const ORACLE_SERVER_OPTIONS = ["--max-digest-length=1048576", "--performance-schema-max-digest-length=65536"];

const COM_STMT_PREPARE = 0x16;
const COM_STMT_EXECUTE = 0x17;
const MYSQL_TYPE_VAR_STRING = 0xfd;
const ER_PARSE_ERROR_IN_DIGEST_FN = 3676;
const ER_UNDISCLOSED_PARSE_ERROR_IN_DIGEST_FN = 3677;

const ANSWERS_AHEAD = 100;
const HIGH = 0x7f;
const LETTER_Z = 90;

export function rulesOf(mode: LexerMode, charset: string): LexRules {
  return {
    ...DEFAULT_RULES,
    ansiQuotes: mode === "ANSI_QUOTES",
    backslashEscapes: mode !== "NO_BACKSLASH_ESCAPES",
    ignoreSpace: mode === "IGNORE_SPACE",
    charset: charsetRules(charset),
  };
}

/** Asks one server, one mode and charset at a time. */
export class Oracle {
  readonly #client: RawClient;
  #statementId: Buffer = Buffer.alloc(4);

  constructor(client: RawClient) {
    this.#client = client;
  }

  /** What follows is about texts of a session with this sql_mode and client charset. */
  async use(mode: LexerMode, charset: string): Promise<void> {
    for (const sql of [
      // Without a schema, texts that name a table alone are refused.
      "USE mysql",
      `SET SESSION sql_mode = '${mode}'`,
      `SET NAMES ${charset}`,
      "SET SESSION character_set_results = utf8mb4",
    ]) {
      const packets = await this.#client.query(sql);
      failOn(packets.at(-1)?.payload, sql);
    }
    // A parameter reaches the function byte for byte, whatever the charset; a literal would have to be valid in it.
    this.#client.writeCommand(COM_STMT_PREPARE, "SELECT STATEMENT_DIGEST_TEXT(?) AS d");
    const { payload } = await this.#client.readPacket();
    failOn(payload, "PREPARE");
    this.#statementId = payload.subarray(1, 5);
    for (let definitions = 2; definitions > 0; definitions--) await this.#client.readPacket();
  }

  /** The server's digest of each text; undefined where it refuses the text. Questions are sent ahead of the answers. */
  async ask(texts: readonly Uint8Array[]): Promise<readonly (string | undefined)[]> {
    const answers: (string | undefined)[] = [];
    for (let at = 0; at < texts.length; at += ANSWERS_AHEAD) {
      const batch = texts.slice(at, at + ANSWERS_AHEAD);
      for (const text of batch) this.#client.writeCommand(COM_STMT_EXECUTE, this.#execution(text));
      for (const _ of batch) answers.push(await this.#answer());
    }
    return answers;
  }

  #execution(text: Uint8Array): Uint8Array {
    const head = Buffer.alloc(17);
    this.#statementId.copy(head);
    head.writeUInt32LE(1, 5);
    // No NULLs; types follow; a string.
    head[10] = 1;
    head[11] = MYSQL_TYPE_VAR_STRING;
    head[13] = 0xfd;
    head.writeUIntLE(text.length, 14, 3);
    return Buffer.concat([head, text]);
  }

  async #answer(): Promise<string | undefined> {
    const { payload: first } = await this.#client.readPacket();
    if (first[0] === 0xff) return refusal(first);
    await this.#client.readPacket();
    const { payload: row } = await this.#client.readPacket();
    if (row[0] === 0xff) return refusal(row);
    await this.#client.readPacket();
    const width = row[2] === 0xfc ? 3 : row[2] === 0xfd ? 4 : row[2] === 0xfe ? 9 : 1;
    return row[1] === 0 ? row.toString("utf8", 2 + width) : undefined;
  }
}

function failOn(payload: Buffer | undefined, what: string): void {
  if (payload === undefined || payload[0] === 0xff) throw new Error(`${what}: ${payload?.toString("latin1", 3)}`);
}

/** Any other error than a text that does not parse is a fault of the question. */
function refusal(payload: Buffer): undefined {
  const errorNumber = payload.readUInt16LE(1);
  const isParseError =
    errorNumber === ER_PARSE_ERROR_IN_DIGEST_FN || errorNumber === ER_UNDISCLOSED_PARSE_ERROR_IN_DIGEST_FN;
  if (!isParseError) failOn(payload, `STATEMENT_DIGEST_TEXT() answers ${errorNumber}`);
}

const lexer = new Lexer();
const digest = new Digest();

export interface OwnDigest {
  readonly text: string;
  /** Names with bytes above 0x7f show as Z: their spelling depends on conversions between charsets. */
  readonly shape: string;
  readonly hasError: boolean;
  readonly isHinted: boolean;
}

export function ownDigest(sql: Uint8Array, rules: LexRules): OwnDigest {
  lexer.start(sql, rules, 1_000_000);
  lexer.run(sql.length);
  const text = print();
  lexer.sql = withoutHighNames(sql, rules);
  const shape = print();
  const isHinted = lexer.kinds.subarray(0, lexer.count).includes(T.HINT_START);
  return { text, shape, hasError: (lexer.marks & MARK_ERROR) !== 0, isHinted };
}

function print(): string {
  digest.start();
  digest.consume(lexer, 0, lexer.count);
  return digest.text();
}

function withoutHighNames(sql: Uint8Array, rules: LexRules): Uint8Array {
  const hasOddLetters = rules.charset.letters !== undefined;
  // Not slice(): a Buffer's would share the memory.
  const copy = new Uint8Array(sql);
  for (let i = 0; i < lexer.count; i++) {
    const kind = lexer.kinds[i];
    if (kind !== T.IDENTIFIER && kind !== T.QUOTED_IDENTIFIER) continue;
    const quoted = kind === T.QUOTED_IDENTIFIER ? 1 : 0;
    const from = (lexer.starts[i] as number) + quoted;
    const to = (lexer.ends[i] as number) - quoted;
    if (!copy.subarray(from, to).some((byte) => byte > HIGH || (hasOddLetters && !isAsciiLetter(byte)))) continue;
    copy.fill(LETTER_Z, from, to);
    lexer.flags[i] = 0;
  }
  return copy;
}

function isAsciiLetter(byte: number): boolean {
  return /[0-9A-Za-z_$]/.test(String.fromCharCode(byte));
}

export type Verdict = "same" | "printing" | "different";

/**
 * `printing`: the same tokens, but a name or a hint is spelled otherwise. In the place of a name beyond ASCII anything
 * quoted will do, or nothing: the server prints it converted, and not at all when it holds what is no character.
 */
export function compare(own: OwnDigest, server: string): Verdict {
  if (own.text === server) return "same";
  const pattern = own.shape
    .split(/(`Z+` ?|\/\*\+.*?\*\/ ?)/s)
    .map((part, index) => (index % 2 === 0 ? literally(part) : part.startsWith("`") ? ANY_NAME : ANY_HINT));
  return new RegExp(`^${pattern.join("")}$`, "s").test(withoutLookahead(server)) ? "printing" : "different";
}

const ANY_NAME = "(?:`.{0,300}?` ?)?";
const ANY_HINT = "(?:/\\*\\+.*?\\*/ ?)?";

function literally(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/g, "\\$&").replaceAll(/ $/g, " ?");
}

/** Having looked one token ahead there, the server prints that one in the wrong place. */
function withoutLookahead(server: string): string {
  return server.replaceAll(
    /JSON_DUALITY_OBJECT \( (INSERT|UPDATE|DELETE) WITH \1 /g,
    "JSON_DUALITY_OBJECT ( WITH $1 ? ",
  );
}

/** A repeatable source of numbers. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 ≤ n < below. */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }
}

const VALUES = [
  ..."1 1.5 .5 1. 1e5 1.e5 1e+5 1.5e-3 007 0x41 0X41 0x4G 0x 0b01 0b12 0B1 ? NULL \\N true".split(" "),
  ..."x'41' X'4142' b'01' B'1' N'a' n'a' _utf8mb4'a' _latin1'x' _latin1 x'41' _foo 'a' 'it''s' 'a\\'b' 'c\\\\' 'd\\".split(
    " ",
  ),
  ...'"b" "b""c" "d\'e" \'f"g\' `q` `q``r` `1` `` a a1 1a 1e 1ex 9e9x a$b $x $$x$$ $t$\'$t$ $1 a$$b$$ _x'.split(" "),
  ..."@v @`v` @'v' @\"v\" @v.w @ @v$1 @@x @@global.x @@session.sql_mode @@`x` @@local.x a.b a.b.c t.select t.1b t.1e5".split(
    " ",
  ),
  ..."CURRENT_DATE COUNT(*) NOW() NOW CAST(1ASCHAR) MAX(a) count MID('a',1) SUBSTR('a',1) user() VALUES(a) a->'$.x' a->>'$.y'".split(
    " ",
  ),
  ...["count (1)", "count/**/(1)", "cast(1 as char)", "trim (both 'x' from 'y')", "{d '2020-01-01'}", "interval 1 day"],
  ...[
    "case when 1 then 2 end",
    "(1)",
    "(1,2)",
    "(select 1)",
    "a . b",
    "a. b",
    "a .b",
    "1 .b",
    "@ v",
    "@@ x",
    "'a' 'b'",
  ],
];

const OPERATORS = [
  ..."+ - * / % || && | & ^ << >> = <=> <> != < > <= >= := ! ~ , , , , AND OR XOR DIV MOD NOT AS -- --1 - -1 !! <- >-- =- =! =~".split(
    " ",
  ),
  ...[" like ", " in (1,2)", " in ('a')", " is null,", " between 1 and ", " not like ", " rlike ", " is not null and "],
];

const GAPS = [
  ...["", "", "", "", " ", " ", " ", "\t", "\n", "\v", "\f", "\r", "  "],
  ...[
    "/**/",
    "/* x */",
    "/*!*/",
    "/*! */",
    "/*!50000 */",
    "/*!99999 x */",
    "/*!090705 x */",
    "/*!080000 */",
    "/*!999999x*/",
  ],
  ...[
    "/*!50000",
    "/*!",
    "/*!80100 ",
    "*/",
    "/*+ x */",
    "/*M! x */",
    "/*/",
    "/***/",
    "-- x\n",
    "--\n",
    "--\t\n",
    "#x\n",
    "#\n",
  ],
  ...["--\u0001\n", "/*! /* y */ */", "/*!99999 /* y */ z */", "--", "//", ";", "\u0000", "\\", "'", '"', "`"],
];

const TAILS = [
  "",
  "",
  "",
  " from t",
  " from t where a = 1",
  " order by 1, a",
  " group by 2",
  " limit 1",
  ";",
  "\u0000",
  " -- ",
  "--",
];

const HEADS = [
  "select ",
  "select ",
  "select ",
  "select/**/",
  "do ",
  "select /*+ bka(t) */ ",
  "set @a = ",
  "select distinct ",
];

/** Statements of this project's own, as ground for mutations. */
export const SEEDS: readonly string[] = [
  "SELECT id, title FROM book WHERE id = 4711 AND owner = 'app' LIMIT 10",
  "INSERT INTO t (a, b) VALUES (1, 'x'), (2, NULL), (-3, b'1') ON DUPLICATE KEY UPDATE b = VALUES(b)",
  'UPDATE `orders` SET status = "sent", changed = NOW() WHERE id IN (1, 2, 3) AND n <=> NULL',
  "DELETE FROM a USING a JOIN b ON a.x = b.y WHERE b.z -> '$.q' = 0x41",
  "WITH c AS (SELECT 1 UNION ALL SELECT 2.5e1) SELECT count(*), sum(c.`1`) OVER (PARTITION BY 1 ORDER BY 2) FROM c",
  "SELECT @@session.sql_mode, @a := 5, CASE WHEN a IS NOT NULL THEN -1 ELSE + 2 END FROM s.t AS x GROUP BY 1 HAVING 1",
  "CREATE TABLE t (a INT NOT NULL DEFAULT -1, b VARCHAR(5) CHARACTER SET latin1 NULL, PRIMARY KEY (a))",
  "SELECT _latin1'a' COLLATE latin1_bin, N'b', 'c' 'd', x'4142', DATE '2020-01-01', TRIM(LEADING 'x' FROM 'y')",
  "SELECT /*! STRAIGHT_JOIN */ a /*!80000 , b */ /*!99999 , c */ FROM t -- end",
  "SET GLOBAL max_connections = 5, @x = (SELECT 1), SESSION sql_mode = ''",
];

/** Bytes that a client charset may read as half of a character, or as a blank. */
const HIGH_BYTES: readonly (readonly number[])[] = [
  ...[[0xa0], [0xff], [0x85], [0x80], [0xbf], [0xe5], [0xfe], [0x8e], [0x8f], [0xc2, 0xa0], [0xe2, 0x80, 0xa8]],
  ...[
    [0xbf, 0x5c],
    [0xbf, 0x27],
    [0x81, 0x60],
    [0x81, 0x22],
    [0xe5, 0x5c],
    [0xa1, 0x5c],
    [0xa1, 0x40],
    [0xf9, 0x7e],
  ],
  ...[
    [0x81, 0x30, 0x81, 0x30],
    [0x81, 0x30, 0x27],
    [0x81, 0x39, 0xfe, 0x39],
    [0x8f, 0xa1, 0xa1],
    [0x8e, 0x5c],
  ],
  ...[
    [0xb0, 0xa1],
    [0xe4, 0xb8, 0xad],
    [0xf0, 0x9f, 0x98, 0x80],
    [0xc3, 0xa9],
    [0xfc, 0x7c],
    [0x9f, 0x5c],
    [0xfd, 0x41],
  ],
];

/** Places for such bytes, marked H; what else they swallow decides how the rest is read. */
const HIGH_PLACES = [
  ..."'H' 'aH' 'H\\'' 'H'' \"H\" `H` `aH` aH Ha H @H @aH @`H` @@H _latin1'H' N'H' a.H $H$ $H$x$H$ 1H 1.H 0xH".split(
    " ",
  ),
  ..."'H'or'1' 'H\\'or'1' `H`or`1` aH`b` /*H*/1 H/**/a".split(" "),
  ...["'H' 'H'", "aH b", "'H' or 1 -- '", "`H` or 1 -- `", "1 H", "H + 1", "'H\\' or 1 or '", "-- H\n1", "a as 'H'"],
];
const TRAILS = [0x27, 0x5c, 0x60, 0x22, 0x40, 0x7e, 0x7f, 0x30, 0x39, 0x41, 0x7c, 0x20, 0x2f, 0x00];

/** One text: put together from lexical oddities, or a statement with a few changes. */
export function makeText(dice: Dice, seeds: readonly string[], wantsHighBytes: boolean): Uint8Array {
  let bytes =
    wantsHighBytes || dice.below(2) === 0
      ? composed(dice, wantsHighBytes)
      : Buffer.from(dice.pick(seeds), "utf8").subarray(0, 4096);
  for (let changes = dice.below(3); changes > 0; changes--) bytes = changed(dice, bytes, seeds);
  return bytes;
}

function composed(dice: Dice, wantsHighBytes: boolean): Buffer {
  const value = (): Buffer =>
    wantsHighBytes && dice.below(2) === 0 ? highValue(dice) : Buffer.from(dice.pick(VALUES), "utf8");
  const parts = [Buffer.from(dice.pick(HEADS)), value()];
  for (let terms = dice.below(4); terms > 0; terms--) {
    parts.push(Buffer.from(oddGap(dice) + dice.pick(OPERATORS) + oddGap(dice)), value());
  }
  parts.push(Buffer.from(dice.pick(TAILS)));
  return Buffer.concat(parts);
}

function highValue(dice: Dice): Buffer {
  const high = [...dice.pick(HIGH_BYTES)];
  if (dice.below(2) === 0) high.push(0x80 + dice.below(0x80), dice.pick(TRAILS));
  const place = dice.pick(HIGH_PLACES);
  return Buffer.from(place.replaceAll("H", String.fromCharCode(...high)), "latin1");
}

/** Odd ones only now and then: most texts have to be ones that the server takes. */
function oddGap(dice: Dice): string {
  return dice.below(4) === 0 ? dice.pick(GAPS) : " ";
}

function changed(dice: Dice, bytes: Buffer, seeds: readonly string[]): Buffer {
  const at = dice.below(bytes.length + 1);
  const insert = (text: Uint8Array, skip = 0): Buffer =>
    Buffer.concat([bytes.subarray(0, at), text, bytes.subarray(at + skip)]);
  switch (dice.below(8)) {
    case 0:
      return insert(Buffer.from(dice.pick(GAPS)));
    case 1:
      return insert(Buffer.from(` ${dice.pick(VALUES)} `));
    case 2:
      return insert(Buffer.from(dice.pick(OPERATORS)));
    case 3:
      return insert(Buffer.alloc(0), 1 + dice.below(4));
    case 4:
      return insert(bytes.subarray(at, at + 1 + dice.below(12)));
    case 5:
      return insert(Buffer.from([dice.below(256)]), dice.below(2));
    case 6: {
      const other = Buffer.from(dice.pick(seeds), "utf8");
      const from = dice.below(other.length);
      return insert(other.subarray(from, from + 1 + dice.below(20)));
    }
    default:
      return swapBlank(dice, bytes, at);
  }
}

/** Puts another gap where a blank is: what separates tokens is where readings part. */
function swapBlank(dice: Dice, bytes: Buffer, from: number): Buffer {
  const at = bytes.indexOf(0x20, from);
  if (at < 0) return bytes;
  return Buffer.concat([bytes.subarray(0, at), Buffer.from(dice.pick(GAPS)), bytes.subarray(at + 1)]);
}

/** Where a single byte, marked H, may mean something else than in another charset or place. */
const BYTE_PLACES = [
  ..."H aHz 'H' 'aH' `H` `aH` @H @aHz @'H' @`H` @@H @@aH 1H 1H2 1.H 0x1H 0b1H .H a.H a.bHc $H$ $aH $$H$$ xH'41' nH'a'".split(
    " ",
  ),
  ...[
    "a H b",
    "/*H*/ 1",
    "1--Hx\n, 2",
    "1 #H\n, 2",
    "-- aH\n1",
    "a, Hb",
    "1 H 2",
    "'a'H'b'",
    "count H(1)",
    "_latin1H'a'",
  ],
];

/** Every byte from `first` on in every such place. */
export function* everyByte(first = 0): Iterable<Uint8Array> {
  for (const place of BYTE_PLACES) {
    for (let byte = first; byte < 256; byte++) {
      yield Buffer.from(`select ${place.replaceAll("H", String.fromCharCode(byte))}`, "latin1");
    }
  }
}

/** Every pair of bytes that could be a character of two bytes, in quotes, in names and in the open. */
export function* everyPair(): Iterable<Uint8Array> {
  for (const place of ["'H'", "'H', 1", "`H`", "aHb", "@aHb", "@H", "@@H", "@@aHb", "1Hb", "a.H"]) {
    for (let pair = 0x8000; pair < 0x10000; pair++) {
      yield Buffer.from(`select ${place.replaceAll("H", String.fromCharCode(pair >> 8, pair & 0xff))}`, "latin1");
    }
  }
}
