import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Analysis, MysqlContext } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { Digest } from "../../src/sql/mysql/digest/digest.ts";
import { DEFAULT_RULES, Lexer } from "../../src/sql/mysql/lexing/lexer.ts";
import * as T from "../../src/sql/mysql/lexing/token-kinds.ts";
import { lexText } from "../../src/sql/mysql/queries/literal-rows.ts";
import { decideText } from "../policy/policy-fixture.ts";

const CONTEXT: MysqlContext = {
  engine: "mysql",
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

describe("analyze() of an IN list of very many literals", () => {
  const ITEMS = 120_000;
  const listOf = (items: number, item: (index: number) => string): string => {
    const parts: string[] = [];
    for (let index = 0; index < items; index++) parts.push(item(index));
    return parts.join(",");
  };
  const select = (list: string, tail = ""): Analysis =>
    analyze(Buffer.from(`select a from t where b = 1 and id in (${list})${tail}`), CONTEXT);
  const names = (analysis: Analysis): readonly string[] => [...new Set(findingsOf(analysis))].sort();

  test("understands it, with the digest and the findings of a short one, and the count of all", () => {
    const many = select(listOf(ITEMS, (index) => String(index)));
    assert.equal(many.understood, true);
    assert.equal(many.digest, select("1,2").digest);
    assert.deepEqual(
      many.findings.map(({ what, count }) => [what, count]),
      [["in-list-long", ITEMS]],
    );
    assert.equal(many.statements[0]?.inListMax, ITEMS);
    const scoreOf = (items: number): number =>
      decideText(`delete from t where id not in (${listOf(items, String)}) or 1=1`).score;
    assert.equal(scoreOf(ITEMS), scoreOf(1100));
    assert.ok(many.tokenCount < 200_000, `${many.tokenCount} tokens are kept`);
  });

  for (const [what, odd, finds] of [
    ["a function", "sleep(5)", "sleep-nested"],
    ["a subquery", "(select password from users)", undefined],
    ["a variable", "@@version", "system-variable-nested"],
    ["an attack in a string", "'a'' or 1=1 -- '", "literal-looks-like-sql"],
    ["code in hex", "0x73656c65637420", "hex-literal-text"],
    ["a long hex literal", `0x${"41".repeat(20)}`, "hex-literal-long"],
    ["adjacent strings", "'a' 'b'", "adjacent-strings"],
    ["a condition", "7 = 7", undefined],
    ["a glued number", "1union", undefined],
    ["a comment", "1 /* note */", "comment-between-tokens"],
    ["code of an executable comment", "1 /*!50000 + sleep(5) */", "sleep-nested"],
    ["a literal in an executable comment", "/*!50000 7, */ 7", "executable-comment"],
    ["a NULL", "null", undefined],
    ["a truth", "true", undefined],
    ["a row", "(1,2)", undefined],
  ] as const) {
    test(`sees ${what} in any place as in a list that is kept whole`, () => {
      for (const place of [0, 200, 40_000, 79_000]) {
        // Others of its own form, so that it is told apart by what it says.
        const other = odd.startsWith("'") ? "'x'" : odd.startsWith("0x") ? "0x01" : "7";
        const few = select(listOf(1100, (index) => (index === Math.min(place, 1000) ? odd : other)));
        const many = select(listOf(80_000, (index) => (index === place ? odd : other)));
        assert.notEqual(many.notUnderstood?.reason, "budget-exceeded");
        assert.equal(many.understood, few.understood);
        assert.ok(many.digest === few.digest, many.digest.slice(0, 200));
        assert.deepEqual(names(many), names(few));
        assert.deepEqual(
          many.statements.map(({ kind, functions, tablesRead }) => [kind, functions.length, tablesRead.length]),
          few.statements.map(({ kind, functions, tablesRead }) => [kind, functions.length, tablesRead.length]),
        );
        if (finds !== undefined) assert.ok(names(many).includes(finds), names(many).join());
      }
    });
  }

  test("keeps one literal of each form", () => {
    const call = (form: string, items: number): readonly string[] => {
      const list = listOf(items, (index) => (index === Math.min(items, 50_000) - 500 ? form : "7"));
      return names(analyze(Buffer.from(`select a from t where updatexml(1, concat(b in (${list}), c), 1)`), CONTEXT));
    };
    for (const form of ["0x7e", "x'7e'", "'~'", "-1"]) {
      assert.deepEqual(call(form, 90_000), call(form, 1100), form);
    }
    assert.notDeepEqual(call("0x7e", 90_000), call("7", 90_000), "a form may tell");
  });

  test("sees what follows the list", () => {
    const ids = listOf(ITEMS, (index) => String(index));
    const added = select(ids, " or 1=1 union select user(), b from users; drop table u");
    const few = select(listOf(1100, String), " or 1=1 union select user(), b from users; drop table u");
    assert.deepEqual(names(added), names(few));
    assert.ok(names(added).includes("or-constant-comparison"));
    assert.deepEqual(
      added.statements.map(({ kind }) => kind),
      few.statements.map(({ kind }) => kind),
    );
  });

  test("has the facts of a list that is kept whole, whatever else the text is", () => {
    const literals = ["7", "-3", "+1.5", "'x'", "0", "1e3", "null", "x'02'", "b'1'", "N'y'", '"z"', "'it''s'"];
    const shapes = [
      (list: string) => `delete from t where id not in (${list}) limit 5`,
      (list: string) => `update t set a = if(b in (${list}), 1, 2) where c = 3`,
      (list: string) => `select a in (${list}) from t where b = 1 or a in (${list}) order by c`,
      (list: string) => `select 1 from t where 5 in (${list})`,
      (list: string) => `select a from t where b in (${list}) group by c, 2 having d in (3)`,
      (list: string) => `insert into u select * from t where id in (${list}) on duplicate key update a = 1`,
      (list: string) => `replace into u (a) values ((select b from t where id in (${list})))`,
      (list: string) => `select * from (select a from t where b in (${list})) x where (c, 1) in ((1, 2))`,
      (list: string) => `alter table t add partition (partition p values in (${list}))`,
      (list: string) => `select f.in(${list}) from t`,
    ];
    let seed = 7;
    const next = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
      return (seed >> 8) % below;
    };
    // Of statements all but places in the text, and of findings the names: what counts and lengths say is compared above.
    const factsOf = ({ statements, understood, digest, findings }: Analysis) => ({
      understood,
      digest,
      findings: [...new Set(findings.map(({ what, detail }) => `${what} ${detail}`))].sort(),
      statements: JSON.parse(
        JSON.stringify(statements, (key, value: unknown) =>
          key === "start" || key === "end" || key === "inListMax" ? undefined : value,
        ),
      ) as unknown,
    });
    for (const shape of shapes) {
      const used = literals.filter(() => next(2) === 0);
      const pool = used.length === 0 ? literals : used;
      const items = Array.from({ length: 1100 }, () => pool[next(pool.length)] as string);
      // The same forms, in the order of the short list, and so long that nearly all of it is forgotten.
      const long = Array.from({ length: 44_000 }, (_, index) => items[index % items.length] as string);
      const few = analyze(Buffer.from(shape(items.join(","))), CONTEXT);
      const many = analyze(Buffer.from(shape(long.join(","))), CONTEXT);
      if (shape("1").includes("f.in(")) {
        assert.equal(many.statements[0]?.functions[0]?.arguments, 44_000, "arguments of a function are no list");
        continue;
      }
      assert.deepEqual(factsOf(many), factsOf(few), shape("…"));
    }
  });

  test("leaves digest and tokens around the lists as they are", () => {
    const whole = new Lexer();
    const thinned = new Lexer();
    const digest = new Digest();
    const digestOf = (lexer: Lexer): string => {
      digest.start();
      digest.consume(lexer, 0, lexer.count);
      return digest.text();
    };
    let seed = 11;
    const next = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
      return (seed >> 8) % below;
    };
    const items = ["1", "-1", "+2.5", "null", "'a'", "0x1f", "- -1", "-'a'", "(1)", "now()", "1+1", "?", "true", "a"];
    for (let run = 0; run < 20; run++) {
      const lists: string[] = [];
      for (let list = 0; list < 4; list++) {
        const odd = next(3) === 0;
        const pool = odd ? items.length : 6;
        lists.push(listOf(20_000, () => items[next(4) > 0 ? next(3) : next(pool)] as string));
      }
      const sql = Buffer.from(`select * from t where ${lists.map((list) => `a in (${list})`).join(" or ")}`);
      whole.start(sql, DEFAULT_RULES, 2 ** 22);
      whole.run(sql.length);
      lexText(thinned, sql, DEFAULT_RULES, 2 ** 22);
      assert.ok(digestOf(thinned) === digestOf(whole));
      let forgotten = 0;
      for (const [token, count] of thinned.forgottenRows) {
        assert.equal(sql[thinned.starts[token] as number], 0x2c, "kept by the comma before");
        forgotten += count;
      }
      const commas = (lexer: Lexer): number =>
        lexer.kinds.subarray(0, lexer.count).filter((kind) => kind === T.COMMA).length;
      assert.equal(commas(thinned) + forgotten, commas(whole));
    }
  });
});
