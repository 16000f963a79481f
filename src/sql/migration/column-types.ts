/** Which type of Aurora DSQL a column of MySQL becomes, and what is different with it. */
import type { MysqlColumn, MysqlType } from "./mysql-schema.ts";

/** `same`: means the same. `changed`: holds the same values, and behaves otherwise in what `why` says. `lost`: has no equal. */
export type Verdict = "same" | "changed" | "lost";

export interface TypeChoice {
  /** As SQL. */
  readonly type: string;
  readonly verdict: Verdict;
  readonly why: string;
  /** What every value must be, as a condition on `{column}`. */
  readonly check?: string;
  /** Values that a text may have: a CHECK is written of them. */
  readonly values?: readonly string[];
}

const INTEGERS: Readonly<Record<string, readonly [signed: string, unsigned: string]>> = {
  TINYINT: ["smallint", "smallint"],
  SMALLINT: ["smallint", "integer"],
  MEDIUMINT: ["integer", "integer"],
  INT: ["integer", "bigint"],
  INTEGER: ["integer", "bigint"],
  BIGINT: ["bigint", "numeric(20,0)"],
};

const PLAIN: Readonly<Record<string, string>> = {
  DATE: "date",
  REAL: "double precision",
  DOUBLE: "double precision",
  FLOAT: "real",
  UUID: "uuid",
};

const BINARY: ReadonlySet<string> = new Set(["BINARY", "VARBINARY", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB"]);
const TEXTS: ReadonlySet<string> = new Set(["TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT"]);
/** A value of Aurora DSQL's holds 1 MiB, a row 2 MiB. */
const LARGE: ReadonlySet<string> = new Set(["MEDIUMTEXT", "LONGTEXT", "MEDIUMBLOB", "LONGBLOB"]);
const NUMERICS: ReadonlySet<string> = new Set(["DECIMAL", "DEC", "NUMERIC", "FIXED"]);
const CHARACTERS: ReadonlySet<string> = new Set(["CHAR", "VARCHAR", "NCHAR", "NVARCHAR", "CHARACTER"]);

const same = (type: string): TypeChoice => ({ type, verdict: "same", why: "means the same" });
const changed = (type: string, why: string): TypeChoice => ({ type, verdict: "changed", why });

export function typeFor(column: MysqlColumn): TypeChoice {
  const { type } = column;
  if (column.isAutoIncrement) {
    return changed(
      "bigint",
      "AUTO_INCREMENT becomes an identity with CACHE 65536: numbers are unique, neither dense nor in the order of their rows",
    );
  }
  return integerType(type) ?? characterType(type) ?? timeType(type) ?? otherType(type);
}

function integerType(type: MysqlType): TypeChoice | undefined {
  const { word, values, isUnsigned } = type;
  if (word === "BOOL" || word === "BOOLEAN" || (word === "TINYINT" && values[0] === "1" && !isUnsigned)) {
    return changed("boolean", "tinyint(1) is a number in MySQL: write true and false, and compare with them");
  }
  const names = INTEGERS[word];
  if (names === undefined) return undefined;
  const [signed, unsigned] = names;
  if (!isUnsigned)
    return word === "TINYINT" || word === "MEDIUMINT" ? changed(signed, "the next larger type") : same(signed);
  return {
    ...changed(unsigned, "there is no UNSIGNED: a larger type, and a CHECK keeps it from below 0"),
    check: "{column} >= 0",
  };
}

function characterType({ word, values }: MysqlType): TypeChoice | undefined {
  if (CHARACTERS.has(word)) {
    const type = `varchar(${values[0] ?? "1"})`;
    return changed(type, "compared by bytes (collation C): upper and lower case differ, and blanks at the end count");
  }
  if (TEXTS.has(word)) {
    const size = LARGE.has(word) ? "; a value holds 1 MiB at most" : "";
    return changed("text", `compared by bytes (collation C): upper and lower case differ${size}`);
  }
  if (word === "ENUM") {
    return {
      ...changed("text", "ENUM becomes text with a CHECK: sorted by its text, not by the order of its values"),
      values,
    };
  }
  if (word === "SET") {
    return {
      type: "text",
      verdict: "lost",
      why: "SET has no equal: text with its values between commas, which nothing checks; a table of its own is better",
    };
  }
  return undefined;
}

function timeType({ word, values }: MysqlType): TypeChoice | undefined {
  const precision = values[0] === undefined ? "(0)" : `(${values[0]})`;
  switch (word) {
    case "DATETIME":
      return changed(`timestamp${precision}`, "0000-00-00 is no date: write NULL");
    case "TIMESTAMP":
      return changed(
        `timestamp${precision} with time zone`,
        "shown in the time zone of the session, which is UTC unless set",
      );
    case "TIME":
      return changed(`time${precision}`, "00:00:00 to 24:00:00 only: longer and negative times need an interval");
    case "YEAR":
      return {
        ...changed("smallint", "a number with a CHECK"),
        check: "{column} BETWEEN 1901 AND 2155 OR {column} = 0",
      };
    default:
      return undefined;
  }
}

function otherType({ word, values, isUnsigned }: MysqlType): TypeChoice {
  if (NUMERICS.has(word)) {
    const choice = same(`numeric(${values[0] ?? "10"},${values[1] ?? "0"})`);
    return isUnsigned
      ? { ...choice, verdict: "changed", why: "there is no UNSIGNED: a CHECK", check: "{column} >= 0" }
      : choice;
  }
  if (BINARY.has(word)) {
    const uuid = word === "BINARY" && values[0] === "16" ? "; if it holds a UUID, uuid is better" : "";
    const size = LARGE.has(word) ? "; a value holds 1 MiB at most" : "";
    return changed("bytea", `no length is checked${uuid}${size}`);
  }
  if (word === "JSON") return changed("jsonb", "paths are written with -> and ->>, and keys keep no order");
  if (word === "BIT") return bitType(Number(values[0] ?? 1));
  if (word === "INET4" || word === "INET6")
    return changed("text", "no column has the type inet: cast to it in queries");
  const plain = PLAIN[word];
  if (plain !== undefined) {
    return values.length === 2
      ? changed(plain, "digits behind the point are not rounded to a number of places")
      : same(plain);
  }
  return {
    type: "text",
    verdict: "lost",
    why: `${word} has no equal: WKT as text, and computing with it belongs beside the database`,
  };
}

function bitType(bits: number): TypeChoice {
  if (bits === 1) return changed("boolean", "bit(1) becomes true and false");
  return changed(bits <= 63 ? "bigint" : "numeric(20,0)", "bits become a number");
}
