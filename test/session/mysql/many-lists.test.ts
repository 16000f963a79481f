/**
 * Sessions that are told and asked anything, without a server, too many to be read: lists of odd statements with values
 * of every type, run as texts, prepared, in rows, and long, behind answers that report anything. test/golden/many-lists.txt
 * holds a sum of some lists in each line, which begins with the seed of the first. `MANY_LISTS=1004` prints what is behind
 * that line, to be compared with what it prints in another commit.
 */
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { ResponseEnd } from "../../../src/mysql/response.ts";
import { MysqlPreparedText } from "../../../src/policy/mysql/prepared-text.ts";
import { LONG_TEXT_BYTES } from "../../../src/session/mysql/judging/policy-judge.ts";
import { sqlContextOf } from "../../../src/session/mysql/judging/sql-context.ts";
import type { SessionState } from "../../../src/session/mysql/session-state.ts";
import type { StatementRequest } from "../../../src/session/statement/statement-judge.ts";
import type { BoundValue } from "../../../src/sql/facts.ts";
import { assertGoldenPart } from "../../config/golden.ts";
import { Dice } from "../../support/digest-oracle.ts";
import { judgeUnder, LIST_POLICIES, LIST_SESSION, newState, takeAnswer, told } from "../../support/judged-session.ts";

const TIMEOUT_MS = 120_000;
const LINES = 14;
const LISTS_OF_A_LINE = 4;
const STATEMENTS = 14;

/** `%` is any text to be run by a name, `$` a value, `?` a parameter. */
const FORMS = [
  ..."SET @v = $|SET @w = $|SET @t = $|SET @v = '%'|SET @v = '%'|SET @w = '%', @v = $|SET @V := @w, @t = 7".split("|"),
  ..."SET @v = CONCAT('SELECT ', @t)|SET @v = IF(@t, '%', '%')|SET @v = IFNULL(@w, '%')|SET @v = COALESCE(@t, $)".split(
    "|",
  ),
  ..."SET @v = REPLACE(@v, 't', 'orders')|SET @v = CONCAT_WS(' ', '%', @w)|SET @v = (SELECT '%')|SET @v = -1".split(
    "|",
  ),
  ..."SET @v = CASE @t WHEN 7 THEN '%' ELSE '%' END|SET @v = f('%')|SET @v = @w := '%'|SET @v = 007|SET @v = 1.5".split(
    "|",
  ),
  ..."SELECT '%' INTO @v|SELECT @w INTO @v|SELECT a INTO @v FROM t|SELECT '%', 1 INTO @v, @w|SELECT '%' INTO s".split(
    "|",
  ),
  ..."PREPARE s FROM @v|PREPARE s FROM @v|PREPARE t FROM @w|PREPARE s FROM '%'|PREPARE S FROM '%'|PREPARE `t` FROM '%'".split(
    "|",
  ),
  ..."PREPARE `s``1` FROM '%'|PREPARE é FROM '%'|EXECUTE s|EXECUTE t|EXECUTE s USING @t|EXECUTE t USING @t, @w".split(
    "|",
  ),
  ..."EXECUTE s|EXECUTE `S`|EXECUTE IMMEDIATE @v|EXECUTE IMMEDIATE '%'|EXECUTE IMMEDIATE '%' USING @t|EXECUTE é".split(
    "|",
  ),
  ..."DEALLOCATE PREPARE s|DROP PREPARE t|DROP PREPARE `s-1`|DEALLOCATE PREPARE nobody".split("|"),
  ..."CALL sys.execute_prepared_stmt(@v)|CALL sys.execute_prepared_stmt('%')|CALL p(@v)|DO @v := '%'|DO SLEEP(0)".split(
    "|",
  ),
  ..."USE pay|USE `sh``op`|USE shop|SET NAMES latin1|SET NAMES utf8mb4|SET NAMES gbk COLLATE gbk_bin".split("|"),
  ..."SET sql_mode = 'ANSI_QUOTES'|SET sql_mode = ''|SET @@sql_mode = 'NO_BACKSLASH_ESCAPES'|SET SESSION sql_mode = $".split(
    "|",
  ),
  ..."SET character_set_client = $|SET collation_connection = latin1_bin|SET sql_mode = @v|SET character_set_results = NULL".split(
    "|",
  ),
  ..."SET session_track_system_variables = '*'|SET SESSION session_track_schema = OFF|SET autocommit = 0|SET @a = @@sql_mode".split(
    "|",
  ),
  ..."BEGIN|COMMIT|ROLLBACK|SAVEPOINT a|ROLLBACK TO a|LOCK TABLES t READ|UNLOCK TABLES|XA START 'x'|START TRANSACTION READ ONLY".split(
    "|",
  ),
  ..."SELECT a FROM orders WHERE tenant_id = $|SELECT a FROM orders WHERE tenant_id = ?|UPDATE orders SET a = ? WHERE tenant_id = ?".split(
    "|",
  ),
  ..."INSERT INTO t VALUES (?, ?)|INSERT INTO orders (a, tenant_id) VALUES (?, ?)|DELETE FROM t WHERE a = ?|REPLACE INTO t VALUES (?)".split(
    "|",
  ),
  ..."SELECT * FROM secret WHERE a = ?|CALL p(?)|SELECT ? + 1 FROM t LIMIT ?|SELECT f(?)|UPDATE t SET a = $ WHERE b = $".split(
    "|",
  ),
  ..."SHOW TABLES|SHOW WARNINGS|EXPLAIN SELECT a FROM t|ANALYZE TABLE t|DESCRIBE t|TABLE t|VALUES ROW(1)|HANDLER t OPEN".split(
    "|",
  ),
  ..."CREATE TABLE x (a INT)|DROP TABLE t|ALTER TABLE t ADD b INT|TRUNCATE t|DROP DATABASE shop|GRANT ALL ON *.* TO a".split(
    "|",
  ),
  ..."LOAD DATA LOCAL INFILE 'f' INTO TABLE t|LOAD XML LOCAL INFILE 'g' INTO TABLE t|LOAD DATA INFILE 'h' INTO TABLE t".split(
    "|",
  ),
  ..."BEGIN NOT ATOMIC SET sql_mode = ''; END|IF 1 THEN SET @v = '%'; END IF|SELEC 1|SELECT 'a|/* c */|KILL QUERY 7".split(
    "|",
  ),
  ..."SELECT @t|SELECT @v, @w FROM t|SELECT 1 FROM information_schema.tables WHERE @t|SELECT COUNT(*) FROM t WHERE @t = 1".split(
    "|",
  ),
  ..."SELECT a FROM t WHERE a := 1|SELECT ':=' FROM t LIMIT 1|SELECT '@v'|SELECT NOW()|SELECT DATABASE()|SELECT f()".split(
    "|",
  ),
];
const INNER = [
  ..."SELECT 1|SELECT 1|SELECT a FROM t LIMIT 1|DROP DATABASE v|DELETE FROM t WHERE a = 1|SELECT * FROM secret|USE pay".split(
    "|",
  ),
  ..."SET sql_mode = 4|SELECT a FROM orders WHERE tenant_id = ?|UPDATE orders SET a = ? WHERE tenant_id = 7|CALL p()".split(
    "|",
  ),
  ..."INSERT INTO t VALUES (?)|SELECT é FROM t|SET @v = 1|SELECT a; SELECT b|SELECT \\'x\\'|SHOW TABLES|DO ?".split(
    "|",
  ),
];
const LITERALS =
  "7|8|'7'|'x'|NULL|-3|0|007|18446744073709551616|1e3|0x41|b'1'|'é'|'it''s'|TRUE|DEFAULT|'SELECT 1'|''".split("|");
const VALUES: readonly BoundValue[] = [
  ...[7, 8, "7", "x", null, undefined, 1.5, -1, 7n, 2n ** 63n, "x' OR 1=1 -- ", "", "é"],
  ...[new Uint8Array([0x41, 0x27, 0x5c]), new Uint8Array([0xe9, 0xbf]), new Uint8Array(0)],
];

function textOf(dice: Dice): string {
  const filled = (form: string): string => form.replace(/[%$]/g, (mark) => dice.pick(mark === "%" ? INNER : LITERALS));
  const count = dice.below(5) > 0 ? 1 : 2 + dice.below(3);
  const text = Array.from({ length: count }, () => filled(dice.pick(FORMS))).join("; ");
  // At the length from which texts are judged elsewhere, and one beyond it.
  const bytes = [LONG_TEXT_BYTES, LONG_TEXT_BYTES + 1, 4 * LONG_TEXT_BYTES, 4 * LONG_TEXT_BYTES + 1];
  return dice.below(40) > 0
    ? text
    : `${text} -- `.padEnd(dice.pick(bytes) + text.length - Buffer.byteLength(text), "x");
}

function askedFor(dice: Dice, state: SessionState): Omit<StatementRequest, "state" | "session"> {
  const sql = Buffer.from(textOf(dice));
  const parameters = sql.toString().split("?").length - 1;
  const estimatedRows = dice.pick([undefined, undefined, undefined, 0, 5, 999, 1000, 1001, "unknown" as const]);
  const kind = dice.below(parameters > 0 ? 5 : 12);
  const command = ["COM_STMT_EXECUTE", "COM_STMT_BULK_EXECUTE", "COM_STMT_PREPARE", "COM_INIT_DB"][kind] ?? "COM_QUERY";
  if (kind > 1) return { command, sql, estimatedRows };
  const text = new MysqlPreparedText(sql, sqlContextOf(state, "COM_STMT_PREPARE"), parameters);
  // Some have been prepared before what has been set since.
  const row = (): BoundValue[] => Array.from({ length: parameters }, () => dice.pick(VALUES));
  const all = Array.from({ length: kind === 0 || parameters === 0 ? 1 : 1 + dice.below(4) }, row);
  const rows = kind === 0 ? {} : { rows: { count: all.length, values: () => all } };
  return { command, sql, estimatedRows, execution: { text, values: all[0] ?? [], ...rows } };
}

const REPORTS: readonly (readonly [name: string, values: readonly string[]])[] = [
  ["sql_mode", ["", "ANSI_QUOTES", "STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES"]],
  ["SQL_MODE", [""]],
  ["character_set_client", ["utf8mb4", "latin1", "gbk"]],
  ["character_set_connection", ["utf8mb4", "utf8", "utf8mb3", "latin1"]],
  ["collation_connection", ["utf8mb4_bin", "utf8mb3_bin", "latin1_swedish_ci", "nothing"]],
  ["session_track_system_variables", ["*", "sql_mode", "time_zone"]],
  ["autocommit", ["ON"]],
];
const TRACKED =
  "time_zone, sql_mode,CHARACTER_SET_CLIENT,character_set_connection,collation_connection,session_track_system_variables";

/** What servers report, and what none does. */
function answerTo(text: string, dice: Dice): ResponseEnd {
  const outcome = dice.below(6) === 0 ? "err" : "ok";
  const statusFlags = dice.pick([undefined, 2, 2, 2, 2, 2, 2, 2, 0, 3, 1, 0x202]);
  const systemVariables = new Map<string, string>();
  const mode = /^SET sql_mode = '(\w*)'$/.exec(text)?.[1];
  if (mode !== undefined && dice.below(4) > 0) systemVariables.set("sql_mode", mode);
  const charset = /^SET NAMES (\w+)$/.exec(text)?.[1];
  if (charset !== undefined && dice.below(4) > 0) {
    systemVariables.set("character_set_client", charset).set("collation_connection", `${charset}_bin`);
  }
  if (dice.below(12) === 0) {
    const [name, values] = dice.pick(REPORTS);
    systemVariables.set(name, dice.below(9) === 0 ? TRACKED : dice.pick(values));
  }
  const schema = /^USE (\w+)$/.exec(text)?.[1] ?? (dice.below(25) === 0 ? "pay" : undefined);
  const sessionState = { systemVariables, ...(schema === undefined ? {} : { schema }) };
  const end = { outcome, statusFlags, affectedRows: dice.below(3), ...(dice.below(5) > 0 ? { sessionState } : {}) };
  return end as unknown as ResponseEnd;
}

const CHARSETS = ["utf8mb4", "utf8mb4", "utf8mb4", "latin1", "gbk", "unknown"];

/** What else becomes of a session: the server is asked where that is wanted, it is reset, and tells what it says once. */
function other(state: SessionState, dice: Dice): void {
  if (state.needsProbe && dice.below(6) > 0) {
    const sqlMode = dice.pick(["", "", "ANSI_QUOTES", "STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES"]);
    const characterSet = dice.pick(CHARSETS);
    const connectionCharacterSet = dice.below(3) > 0 ? characterSet : dice.pick(CHARSETS);
    state.setVariables({ sqlMode, characterSet, connectionCharacterSet });
    state.setSchema(dice.pick(["shop", "shop", "pay", "", undefined]));
    Object.assign(state, { isTracked: dice.below(6) > 0, needsProbe: false });
  }
  switch (dice.below(40)) {
    case 0:
      state.reset();
      break;
    case 1:
      state.doubt();
      break;
    case 2:
    case 3:
      state.tableCase = dice.pick(["counts", "ignored", "unknown", "unasked"]);
      break;
    case 4:
      state.allowsMultiStatements = dice.below(3) > 0;
      break;
    case 5:
      state.dynamicSql.forgetVariables();
      break;
    default:
  }
}

async function linesOf(seed: number, policy: string): Promise<string[]> {
  const lines: string[] = [];
  const dice = new Dice(seed);
  const state = newState(dice);
  if (dice.below(5) === 0) Object.assign(state, { dialect: "vitess", serverVersionNumber: undefined });
  const judge = judgeUnder(policy, dice.below(2) === 0);
  const session = {
    ...LIST_SESSION,
    isTls: dice.below(2) === 0,
    ...(dice.below(3) === 0 ? { backendRole: dice.pick(["reader", "writer"] as const), isAurora: true } : {}),
    ...(dice.below(4) === 0 ? { backendPooler: dice.pick(["vitess", "proxysql", "rds-proxy"] as const) } : {}),
  };
  for (let statement = 0; statement < STATEMENTS; statement++) {
    other(state, dice);
    const asked = askedFor(dice, state);
    const judgement = await judge.judge({ ...asked, state, session });
    const text = asked.sql.toString();
    const end = answerTo(text, dice);
    const isSent = judgement.action === "allow" || judgement.action === "warn";
    if (isSent) takeAnswer(state, judgement, end);
    const { schema, sqlMode, characterSet, connectionCharacterSet } = state.variables;
    const { statusFlags, version, isInTransaction, isAutocommitted, wasTracked, tableCase } = state;
    const flags = [statusFlags, isInTransaction, isAutocommitted, wasTracked, version, tableCase];
    lines.push(
      `${asked.command} ${text.slice(0, 120)} ${asked.execution?.values.length ?? ""} => ${isSent ? end.outcome : "x"} ` +
        `${told(state, judgement)} ${[schema, sqlMode, characterSet, connectionCharacterSet, ...flags].join()}`,
    );
  }
  return lines;
}

for (const [index, [name, policy]] of LIST_POLICIES.entries()) {
  test(`sessions under the policy "${name}" make of many lists what test/golden/many-lists.txt holds`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    const sums: string[] = [];
    for (let line = 0; line < LINES; line++) {
      const first = 1000 * index + LISTS_OF_A_LINE * line;
      const hash = createHash("sha256");
      for (let seed = first; seed < first + LISTS_OF_A_LINE; seed++) {
        const lines = await linesOf(seed, policy);
        if (process.env["MANY_LISTS"] === String(first)) console.log(lines.join("\n"));
        hash.update(lines.join("\n"));
      }
      sums.push(`${first} ${hash.digest("hex").slice(0, 12)}`);
    }
    assertGoldenPart("many-lists.txt", name, sums);
  });
}
