import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { analyze } from "../../src/sql/analyze.ts";
import { Digest } from "../../src/sql/digest.ts";
import type { Analysis, SqlContext } from "../../src/sql/facts.ts";
import { DEFAULT_RULES, Lexer } from "../../src/sql/lexer.ts";
import { lexText } from "../../src/sql/literal-rows.ts";

const CONTEXT: SqlContext = {
  dialect: "mysql",
  serverVersion: 90704,
  sqlMode: 0,
  charset: "utf8mb4",
  schema: "app",
  multiStatements: true,
};
const MIB = 2 ** 20;
const ROWS = 120_000;
/** Where the row of interest stands among ROWS others. */
const DEEP = 100_000;

/** An INSERT of rows, one of which is another. */
function insertOf(rows: number, row: (index: number) => string, head = "insert into t (a, b, c) values ", tail = "") {
  const parts: string[] = [];
  for (let index = 0; index < rows; index++) parts.push(row(index));
  return Buffer.from(head + parts.join(",") + tail);
}

const short = (index: number): string => `(${index % 7},'x',null)`;

/** The rows of short() with another one deep inside. */
function withRow(other: string, head?: string, tail?: string): Analysis {
  return analyze(
    insertOf(ROWS, (index) => (index === DEEP ? other : short(index)), head, tail),
    CONTEXT,
  );
}

function findingsOf({ findings }: Analysis): readonly string[] {
  return findings.map(({ what }) => what);
}

describe("analyze() of an INSERT of very many rows", () => {
  const few = analyze(insertOf(2, short), CONTEXT);
  const sizes = process.env["QUERYCOP_TEST_SCALE"] === "full" ? [1, 16, 60] : [1, 16];
  for (const size of sizes) {
    test(`understands ${size} MiB of short rows, with the digest of two rows and the count of all`, () => {
      const rows = Math.floor((size * MIB) / 13);
      const many = analyze(insertOf(rows, short), CONTEXT);
      assert.equal(many.understood, true);
      assert.equal(many.digest, few.digest);
      assert.deepEqual(many.findings, []);
      assert.equal(many.statements[0]?.valuesRows, rows);
      assert.ok(many.tokenCount < 200_000, `${many.tokenCount} tokens are kept`);
    });
  }

  const plain: readonly string[] = [
    "(-1,+2.5,null)",
    "(true,false,default)",
    "(0x01,b'1',x'02')",
    "(1e3,N'x','it''s')",
    String.raw`(_binary 'a',"b",'\n')`,
  ];
  for (const row of plain) {
    test(`understands rows such as ${row}`, () => {
      const many = analyze(
        insertOf(ROWS, () => row),
        CONTEXT,
      );
      assert.equal(many.understood, true);
      assert.equal(many.statements[0]?.valuesRows, ROWS);
    });
  }

  test("sees a function in any row", () => {
    const names = withRow("(1,sleep(5),3)").statements[0]?.functions.map(({ name }) => name);
    assert.deepEqual(names, ["SLEEP"]);
  });

  test("sees a subquery in any row", () => {
    const [statement] = withRow("(1,(select password from users),3)").statements;
    assert.equal(statement?.subqueries, 1);
    assert.deepEqual(
      statement?.tablesRead.map(({ table }) => table),
      ["users"],
    );
  });

  test("sees a variable in any row", () => {
    const { digest } = withRow("(1,@@version,3)");
    assert.match(digest, /@@/);
    assert.match(withRow("(1,@a,3)").digest, /@ \?|@\?/);
  });

  test("sees code of executable comments in any row and between rows", () => {
    assert.deepEqual(
      withRow("(1,/*!50000 sleep(5) */,3)").statements[0]?.functions.map(({ name }) => name),
      ["SLEEP"],
    );
    assert.ok(findingsOf(withRow("(1,2,3) /*!50000 , (4,5,6) */")).some((what) => what.startsWith("executable")));
    assert.equal(withRow("(1,2,3) /* note */").comments.betweenTokens, 1);
  });

  test("sees what follows the rows", () => {
    const duplicate = withRow("(1,2,3)", undefined, " on duplicate key update a = (select max(id) from u)");
    assert.deepEqual(
      duplicate.statements[0]?.tablesRead.map(({ table }) => table),
      ["u"],
    );
    const stacked = withRow("(1,2,3)", undefined, "; drop table u");
    assert.deepEqual(
      stacked.statements.map(({ kind }) => kind),
      ["insert", "drop-table"],
    );
    assert.equal(stacked.statements[0]?.valuesRows, ROWS);
    assert.equal(withRow("(1,2,3)", undefined, ",(1,2").notUnderstood?.reason, "unbalanced-parentheses");
  });

  test("sees a second statement between rows", () => {
    const { statements } = withRow("(1,2,3); drop table u; insert into t values (1,2,3)");
    assert.deepEqual(
      statements.map(({ kind }) => kind),
      ["insert", "drop-table", "insert"],
    );
    assert.deepEqual(
      statements.map(({ valuesRows }) => valuesRows),
      [DEEP + 1, 0, ROWS - DEEP],
    );
  });

  test("reads a hint as a hint and a comment as a comment behind the rows", () => {
    for (let extra = 0; extra < 6; extra++) {
      const tail = `${",(1,'x',null)".repeat(extra)}; select /*+ max_execution_time(1) */ 1 /*+ 2 */`;
      assert.equal(withRow("(1,2,3)", undefined, tail).comments.hints, 1);
    }
  });

  test("sees literals that make findings, and unfit bytes", () => {
    assert.ok(findingsOf(withRow("(1,'a'' or 1=1 -- ',3)")).includes("literal-looks-like-sql"));
    assert.ok(findingsOf(withRow(`(1,0x${"41".repeat(20)},3)`)).includes("hex-literal-long"));
    assert.ok(findingsOf(withRow("(1,0x73656c65637420,3)")).includes("hex-literal-text"));
    assert.ok(findingsOf(withRow("(1,'a' 'b',3)")).includes("adjacent-strings"));
    assert.equal(withRow("(1,\u0001,3)").understood, false);
    assert.equal(withRow("(1,'a,3)").understood, false);
  });

  test("tells which columns hold something else in any row", () => {
    const unlisted = (row: string, index: number): readonly string[] | undefined => {
      const sql = insertOf(ROWS, (at) => (at === index ? row : "(7,'x',-1)"));
      return analyze(sql, CONTEXT).statements[0]?.unlistedColumns;
    };
    for (const index of [101, 102, 103, 50_000, DEEP, ROWS - 2, ROWS - 1]) {
      assert.deepEqual(unlisted("(7,'x',-1)", index), []);
      assert.deepEqual(unlisted("(8,'x',-1)", index), ["a"]);
      assert.deepEqual(unlisted("(-7,'x',-1)", index), ["a"]);
      assert.deepEqual(unlisted("(7,'y',-1)", index), ["b"]);
      assert.deepEqual(unlisted("(7,user(),-1)", index), ["b"]);
    }
    assert.deepEqual(unlisted("(7,'x',-1),(7,'z',-1),(9,'x',-1)", DEEP), ["b", "a"]);
  });

  test("counts on when rows are of several kinds, and gives up when too many say something new", () => {
    const mixed = analyze(
      insertOf(ROWS, (index) => (index % 1000 === 0 ? "(now(),?,3)" : short(index))),
      CONTEXT,
    );
    assert.equal(mixed.understood, true);
    assert.equal(mixed.statements[0]?.valuesRows, ROWS);
    assert.equal(mixed.statements[0]?.functions.length, ROWS / 1000);
    const calls = analyze(
      insertOf(ROWS, () => "(now(),2,3)"),
      CONTEXT,
    );
    assert.equal(calls.notUnderstood?.reason, "budget-exceeded");
  });

  test("drops nothing from lists that are no rows of an INSERT", () => {
    for (const sql of ["select 1 from t where (a, b, c) in (", "select f(", "insert into t select values(a),"]) {
      const text = insertOf(ROWS, short, sql, sql.endsWith("(") ? ")" : "");
      assert.equal(analyze(text, CONTEXT).notUnderstood?.reason, "budget-exceeded", sql);
    }
  });
});

test("lexText() leaves the digest as it is for rows of every kind", () => {
  const ROW_KINDS = [
    "(1,2)",
    "(1)",
    "('a',-1)",
    "(null)",
    "(now(),1)",
    "(1+1,2)",
    "()",
    "((1),2)",
    "(- -1,2)",
    "(-'a',2)",
  ];
  let seed = 42;
  const next = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return (seed >> 8) % below;
  };
  const whole = new Lexer();
  const thinned = new Lexer();
  const digest = new Digest();
  const digestOf = (lexer: Lexer): string => {
    digest.start();
    digest.consume(lexer, 0, lexer.count);
    return digest.text();
  };
  for (let run = 0; run < 5; run++) {
    const rows: string[] = [];
    while (rows.length < 30_000) {
      const row = ROW_KINDS[next(next(3) === 0 ? ROW_KINDS.length : 4)] as string;
      for (let times = next(400); times >= 0; times--) rows.push(row);
    }
    const sql = Buffer.from(
      `insert into t values ${rows.join(",")} as n on duplicate key update a = values(a), b = (1)`,
    );
    whole.start(sql, DEFAULT_RULES, 2 ** 22);
    whole.run(sql.length);
    lexText(thinned, sql, DEFAULT_RULES, 2 ** 22);
    assert.ok(thinned.count < whole.count);
    assert.ok(digestOf(thinned) === digestOf(whole));
    let forgotten = 0;
    for (const count of thinned.forgottenRows.values()) forgotten += count;
    assert.ok(forgotten > 0);
  }
});
