/** What a read-only profile lets through. A list of what is allowed, so that whatever is new or not known is refused. */

import type { FunctionCall, StatementFacts, VariableAssignment } from "../../sql/facts.ts";
import { mayBeSameName, possibleName, upperAscii } from "../../sql/mysql/names/names.ts";
import { calledName } from "../../sql/postgres/walk/names.ts";
import { mayHideCatalog } from "../../sql/postgres/walk/settings.ts";
import { surelyMatchesRoutine } from "../policy.ts";
import { effectOf, isChange, isExecuted } from "./effects.ts";
import { isHarmlessCall } from "./harmless-functions.ts";
import { isNamedSqlSeen } from "./named-statements.ts";
import { isRoutineAllowed, refusal, tableText } from "./policy-tests.ts";
import type { Evidence, RuleInput } from "./rule.ts";

interface Place {
  readonly start: number;
  readonly end: number;
}

const refused = (place: Place, what: string): Evidence => refusal(place, `the profile is read-only and ${what}`);

export function findReadOnly(statement: StatementFacts, input: RuleInput): Evidence | undefined {
  const { settings, reading } = input;
  if (!settings.isReadOnly) return undefined;
  if (!reading.understood) return refused(statement, "the statement is not understood");
  const reach = statement.reach[0];
  if (reach !== undefined) return refused(reach, `this is ${reach.type}`);
  const call = statement.functions.find((each) => !isCallAllowed(each, input));
  if (call !== undefined) {
    return refused(call, `the function ${call.name} may write, lock or wait; list it under allow.functions`);
  }
  // SAFETY: MariaDB's sequence.nextval of sql_mode ORACLE; in other modes a column may have that name.
  const { context } = input.analysis;
  const sequence =
    context.engine === "mysql" && context.dialect === "mysql" ? undefined : statement.columns.find(isNextValue);
  if (sequence !== undefined) return refused(sequence, `${sequence.qualifier}.${sequence.name} may draw a number`);
  if (!isExecuted(statement)) return undefined;
  return (
    findHint(statement, input) ??
    findLocking(statement) ??
    findSetting(statement, input) ??
    findChange(statement) ??
    findDynamic(statement, input)
  );
}

function isCallAllowed(call: FunctionCall, { analysis, settings, subject }: RuleInput): boolean {
  const { context } = analysis;
  if (isHarmlessCall(call, context)) return true;
  const { engine } = context;
  const name = engine === "postgresql" ? calledName(call) : call.name;
  return surelyMatchesRoutine(settings.allowFunctions, { schema: call.schema, name }, { subject, engine });
}

function isNextValue({ name, qualifier }: StatementFacts["columns"][number]): boolean {
  return qualifier !== undefined && mayBeSameName(name, "nextval");
}

function findLocking(statement: StatementFacts): Evidence | undefined {
  const { blocks, modifiers } = statement;
  const locking = blocks.find((block) => block.locking !== "none");
  const isLocking = locking !== undefined || modifiers.includes("for-update") || modifiers.includes("for-share");
  return isLocking ? refused(locking ?? statement, "this locks rows") : undefined;
}

/** SET_VAR() of what SET is refused for. MySQL 9.7 takes two of those in a hint; which ones others take is not known. */
function findHint(statement: StatementFacts, { reading }: RuleInput): Evidence | undefined {
  for (const { what, detail = "", start, end } of reading.findings) {
    if (what !== "hint-set-var" || start < statement.start || end > statement.end) continue;
    const isGuarding =
      possibleName(UNSEEN_WRITES, detail) !== undefined || possibleName(ACCESS_MODE, detail) !== undefined;
    if (isGuarding) return refused({ start, end }, `a hint sets ${detail}`);
  }
  return undefined;
}

/** Words that change more than the session when assigned, even without GLOBAL. */
const GLOBAL_SCOPES: ReadonlySet<string> = new Set(["global", "persist", "persist-only"]);

function findSetting(statement: StatementFacts, input: RuleInput): Evidence | undefined {
  const { kind, modifiers, variables } = statement;
  if (kind === "set-transaction" && modifiers.includes("global"))
    return refused(statement, "this is not of this session");
  for (const variable of variables) {
    const { scope } = variable;
    if (scope === "user") continue;
    const name = variable.name.slice(variable.name.lastIndexOf(".") + 1);
    if (GLOBAL_SCOPES.has(scope)) return refused(variable, `${name} is not of this session`);
    if (possibleName(ACCESS_MODE, name) !== undefined && !isOn(variable)) {
      return refused(variable, `${name} would let transactions write`);
    }
    if (name === "*" || (name === "search_path" && mayHideCatalog(variable))) {
      return refused(variable, "functions and operators of the server could be hidden by others of the same name");
    }
    if (possibleName(UNSEEN_WRITES, name) !== undefined) {
      return refused(variable, `${name} changes what the server logs or replicates`);
    }
  }
  if (modifiers.includes("read-write") && !isTakenBack(statement, input)) {
    return refused(statement, "this would let a transaction write");
  }
  return undefined;
}

/** The same variable under both servers' names: what the second wall rests on (docs/security-model.md). */
const ACCESS_MODE: ReadonlySet<string> = new Set([
  "transaction_read_only",
  "tx_read_only",
  "default_transaction_read_only",
]);

const ON_VALUES: ReadonlySet<string> = new Set(["1", "ON", "TRUE"]);

function isOn({ value }: VariableAssignment): boolean {
  return value.type !== "expression" && ON_VALUES.has(upperAscii(value.text ?? ""));
}

/**
 * SET SESSION TRANSACTION READ WRITE alone in its packet, as drivers send it when a connection goes back to its pool: the
 * session holds it read only again before the next statement.
 */
function isTakenBack({ kind, modifiers, within }: StatementFacts, { reading }: RuleInput): boolean {
  const isAlone = reading.statements.length === 1 && within === "packet";
  return isAlone && kind === "set-transaction" && modifiers.includes("session");
}

/** Session variables whose only use is with writes: the binary log and replication. */
const UNSEEN_WRITES: ReadonlySet<string> = new Set(
  (
    "sql_log_bin sql_log_off binlog_format binlog_row_image binlog_direct_non_transactional_updates binlog_annotate_row_events " +
    "binlog_rows_query_log_events binlog_row_value_options skip_replication gtid_next gtid_seq_no gtid_domain_id server_id " +
    "pseudo_thread_id pseudo_slave_mode pseudo_replica_mode original_commit_timestamp original_server_version " +
    "immediate_server_version transaction_write_set_extraction wsrep_on wsrep_osu_method wsrep_sst_method insert_id " +
    "sql_require_primary_key debug debug_dbug debug_sync default_master_connection aws_default_lambda_role " +
    "aws_default_s3_role aws_default_comprehend_role aws_default_sagemaker_role aws_default_bedrock_role"
  ).split(" "),
);

function findChange(statement: StatementFacts): Evidence | undefined {
  const target = statement.tablesWritten[0];
  if (target !== undefined) return refused(target, `this writes ${tableText(target)}`);
  return isChange(statement) ? refused(statement, `${statement.kind} changes something`) : undefined;
}

function findDynamic(statement: StatementFacts, input: RuleInput): Evidence | undefined {
  if (effectOf(statement.kind) === "dynamic" && !isRoutineAllowed(statement, input)) {
    return refused(statement, "the routine may write; list it under allow.routines");
  }
  const { dynamic } = statement;
  if (dynamic === undefined || dynamic.source === "literal") return undefined;
  if (dynamic.source !== "named") return refused(dynamic, "the text to prepare is not a literal");
  return isNamedSqlSeen(statement, input) ? undefined : refused(dynamic, "the text that was prepared is not known");
}
