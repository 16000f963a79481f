/** CALL: procedures whose effect is known by their name and arguments, and those that nobody here knows. */

import { encodeUtf8 } from "../../../base/bytes.ts";
import * as T from "../lexing/token-kinds.ts";
import { CLAUSE_OTHER } from "../lexing/tokens.ts";
import { foldName, mayBeSameName, mayMatchName, possibleName } from "../names/names.ts";
import type { Walker } from "../queries/walker.ts";
import { noteDynamic } from "./administration.ts";
import { readObject, walkParenthesis } from "./reading-on.ts";

/** CALL routine [(arguments)]. */
export function callStatement(w: Walker) {
  w.statement.kind = "call";
  w.at++;
  const first = w.at;
  const read = readObject(w, "procedure");
  if (w.kind(w.at) === T.LEFT_PAREN) walkParenthesis(w, CLAUSE_OTHER);
  if (read !== undefined) findRoutine(w, first, foldName(read.schema ?? w.schema ?? ""), foldName(read.name));
}

/** Procedures of RDS and Aurora that reach other services, replication or the server's settings. */
const AWS_PROCEDURES: ReadonlySet<string> = new Set(
  (
    "lambda_async rds_set_external_source rds_set_external_source_with_delay rds_set_external_source_with_auto_position " +
    "rds_set_external_master rds_set_external_master_with_delay rds_set_external_master_with_auto_position " +
    "rds_set_external_source_gtid_purged rds_reset_external_source rds_reset_external_master rds_start_replication " +
    "rds_start_replication_until rds_start_replication_until_gtid rds_stop_replication rds_skip_repl_error rds_set_configuration " +
    "rds_set_read_only rds_import_binlog_ssl_material rds_remove_binlog_ssl_material rds_next_master_log " +
    "rds_next_source_log rds_set_master_auto_position rds_set_source_auto_position rds_set_source_delay rds_rotate_slow_log " +
    "rds_rotate_general_log rds_assign_gtids_to_anonymous_transactions rds_skip_transaction_with_gtid rds_gtid_purged"
  ).split(" "),
);

/** Procedures of RDS that do what a statement does. */
const RDS_KILLS: ReadonlyMap<string, string> = new Map([
  ["rds_kill", "KILL"],
  ["rds_kill_query", "KILL QUERY"],
]);

/** Those of sys that are more than reports: they run text, copy a schema's names, or write files. */
const SYS_EXECUTORS: ReadonlySet<string> = new Set(["execute_prepared_stmt", "create_synonym_db", "ps_trace_thread"]);

/** SAFETY: without a schema that is known, a name of sys or mysql is taken for theirs. */
function findRoutine(w: Walker, first: number, schema: string, name: string) {
  const last = w.at - 1;
  const detail = schema === "" ? name : `${schema}.${name}`;
  const isRds = mayMatchName("rds_*", name) || mayBeSameName(name, "lambda_async");
  const executor = possibleName(SYS_EXECUTORS, name);
  if (isRds && (schema === "" || mayBeSameName(schema, "mysql"))) rdsProcedure(w, first, last, name, detail);
  else if (schema === "" ? executor !== undefined : mayBeSameName(schema, "sys")) {
    sysProcedure(w, first, last, executor, detail);
  } else w.find("unknown-routine", first, last, 1, detail);
}

function rdsProcedure(w: Walker, first: number, last: number, name: string, detail: string) {
  const verb = RDS_KILLS.get(name);
  const argument = argumentAt(w, first, last);
  const isNumber = w.kind(argument) === T.INTEGER_NUMBER && argument + 1 === last;
  if (verb !== undefined && isNumber) {
    w.find("prepare-literal", first, last, 1, detail);
    pushInner(w, `${verb} ${w.text.raw(argument)}`, argument);
    return;
  }
  const isStrong = (possibleName(RDS_KILLS, name) ?? possibleName(AWS_PROCEDURES, name)) !== undefined;
  w.find(isStrong ? "aws-procedure" : "rds-procedure", first, last, 1, detail);
  if (mayBeSameName(name, "lambda_async")) w.reach("lambda", first, last, firstArgument(w, first, last));
  else if (mayMatchName("rds_set_external_*", name)) {
    w.reach("remote-server", first, last, firstArgument(w, first, last));
  }
}

/** `executor` is the one of SYS_EXECUTORS that it may be. */
function sysProcedure(w: Walker, first: number, last: number, executor: string | undefined, detail: string) {
  w.find(executor === "create_synonym_db" ? "aws-procedure" : "sys-procedure", first, last, 1, detail);
  if (executor === "execute_prepared_stmt") {
    const argument = argumentAt(w, first, last);
    noteDynamic(w, "executor-procedure", executor, { argument, end: last }, { first, last });
  } else if (executor === "ps_trace_thread") {
    // Its second argument names the file that it writes on the server.
    const second = argumentAt(w, first, last) + 2;
    w.find("into-outfile", first, last, 1, detail);
    w.reach("outfile", first, last, w.kind(second) === T.STRING ? w.text.string(second) : undefined);
  }
}

/** Judges a procedure as the statement that it is another name for. */
function pushInner(w: Walker, sql: string, token: number) {
  const range = { start: w.start(token), end: w.endBefore(token + 1) };
  w.inner.push({
    sql: encodeUtf8(sql),
    within: "executor-argument",
    parent: w.statementIndex(),
    schema: w.schema,
    ...range,
  });
}

/** The token behind the opening parenthesis. */
function argumentAt(w: Walker, first: number, last: number): number {
  let at = first;
  while (at < last && w.kind(at) !== T.LEFT_PAREN) at++;
  return at + 1;
}

/** The first argument when it is one string. */
function firstArgument(w: Walker, first: number, last: number): string | undefined {
  const at = argumentAt(w, first, last);
  const isAlone = w.kind(at + 1) === T.COMMA || w.kind(at + 1) === T.RIGHT_PAREN;
  return w.kind(at) === T.STRING && isAlone ? w.text.string(at) : undefined;
}
