/**
 * What sessions make of lists of statements that set, prepare and run SQL by names, as pages to read: for each statement
 * whether the server took it, what was decided, what is said of it and what is known afterwards. The lists come from seeds;
 * test/golden/judged-lists.txt holds a few words of each answer and a sum of all of it.
 */
import { test } from "node:test";
import { assertGoldenPart } from "../../config/golden.ts";
import { Dice } from "../../support/digest-oracle.ts";
import { executionOf, judgeNext, judgeUnder, LIST_POLICIES, newState, told } from "../../support/judged-session.ts";

const TIMEOUT_MS = 60_000;
const LISTS = 20;
const STATEMENTS = 12;
const PACKETS_EVERY = 5;
const ODD_EVERY = 3;

/** Most lists are of these: they follow upon each other. */
const USUAL = [
  ..."SELECT 1|DROP DATABASE v|DELETE FROM t WHERE a = 1|SELECT * FROM secret WHERE a = 1|INSERT INTO t VALUES (1)"
    .split("|")
    .map((text) => `SET @v = '${text}'`),
  ...[
    "PREPARE s FROM @v",
    "PREPARE s FROM @w",
    "PREPARE t FROM @v",
    "EXECUTE s",
    "EXECUTE s USING @t",
    "EXECUTE t",
    "EXECUTE nobody",
  ],
  ...["SET @t = 7", "SET @t = 8", "SET @t = '7'", "SET @t = NULL", "SET @w = @v", "SET @w = CONCAT(@v, ' -- ', @t)"],
  ...[
    "PREPARE s FROM 'SELECT a FROM orders WHERE tenant_id = ?'",
    "PREPARE t FROM 'UPDATE orders SET a = ? WHERE tenant_id = 7'",
  ],
  ...[
    "EXECUTE s USING @t",
    "EXECUTE t USING @t, @t",
    "EXECUTE IMMEDIATE @v",
    "EXECUTE IMMEDIATE 'SELECT 1 FROM t WHERE a = ?' USING @t",
  ],
  ...[
    "DEALLOCATE PREPARE s",
    "DROP PREPARE t",
    "SELECT 1",
    "SELECT 'SELECT 2' INTO @v",
    "SELECT a FROM t WHERE b = 1 LIMIT 1",
  ],
];
const ODD = [
  ...[
    "CALL p()",
    "DO f(1)",
    "SELECT f()",
    "SELECT @v := 'x'",
    "SET @a = 1, @v = 'SELECT 3'",
    "SET @v = IF(1, 'SELECT 1', 'DROP TABLE t')",
  ],
  ...[
    "SELECT 'DROP TABLE t' INTO @v",
    "SET @`v` := 'SELECT 4'",
    "SET @é = 'x'",
    "PREPARE `s-1` FROM 'SELECT 1'",
    "EXECUTE `s-1`",
    "EXECUTE S",
  ],
  ...[
    "SET sql_mode = 'ANSI_QUOTES'",
    "SET sql_mode = @m",
    "SET NAMES latin1",
    "SET NAMES gbk",
    "SET character_set_connection = swe7",
    "SET sql_mode = ''",
  ],
  ...[
    "USE pay",
    "USE shop",
    "CREATE DATABASE d",
    "DROP DATABASE pay",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "LOCK TABLES t WRITE",
    "UNLOCK TABLES",
  ],
  ...[
    "PREPARE s FROM 'SET sql_mode = 4'",
    "PREPARE s FROM 'USE pay'",
    "PREPARE t FROM 'CALL p()'",
    "SET @v = DATABASE()",
    "SET @v = CONCAT('SELECT a FROM ', DATABASE(), '.t LIMIT 1')",
  ],
  ...[
    "SET @v = (SELECT IF(COUNT(*) > 0, 'SELECT 5', 'ALTER TABLE t ADD c INT') FROM information_schema.tables)",
    "SET @v = REPEAT('x', 9)",
    "SET @v = 0x53454c454354",
  ],
  ...[
    "SET GLOBAL x = 1",
    "SET SESSION TRANSACTION READ WRITE",
    "SHOW WARNINGS",
    "GET DIAGNOSTICS @v = NUMBER",
    "SET STATEMENT sql_mode = '' FOR SELECT 1",
  ],
  ...[
    "CALL sys.execute_prepared_stmt(@v)",
    "SET ROLE r",
    "SELECT a FROM v INTO @v, @w",
    "INSERT INTO t VALUES (@v := 1)",
    "IF 1 THEN SELECT 1; END IF",
  ],
  ...[
    "LOAD DATA LOCAL INFILE 'f' INTO TABLE t",
    "KILL 7",
    "SELEC 1",
    "UPDATE t SET a = 1",
    "DELETE FROM orders",
    "EXPLAIN DELETE FROM t",
  ],
];

function listOf(dice: Dice): string[] {
  const one = (): string => dice.pick(dice.below(ODD_EVERY) === 0 ? ODD : USUAL);
  return Array.from({ length: STATEMENTS }, () =>
    dice.below(PACKETS_EVERY) === 0 ? Array.from({ length: 2 + dice.below(3) }, one).join("; ") : one(),
  );
}

for (const [index, [name, policy]] of LIST_POLICIES.entries()) {
  test(`sessions under the policy "${name}" make of lists what test/golden/judged-lists.txt holds`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    const lines: string[] = [];
    for (let list = 0; list < LISTS; list++) {
      const dice = new Dice(1000 * index + list);
      const state = newState(dice);
      const judge = judgeUnder(policy);
      lines.push(`list ${list} ${state.dialect}`);
      for (const text of listOf(dice)) {
        const sql = Buffer.from(text);
        const isBinary = dice.below(8) === 0;
        const command = isBinary ? "COM_STMT_EXECUTE" : "COM_QUERY";
        const run = isBinary ? { execution: executionOf(sql, state) } : {};
        const { mark, judgement } = await judgeNext(judge, state, { command, sql, ...run }, dice);
        lines.push(`  ${mark}${isBinary ? "b" : ""} ${text} => ${told(state, judgement)}`);
      }
    }
    assertGoldenPart("judged-lists.txt", name, lines);
  });
}
