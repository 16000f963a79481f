/** Which variable settings are worth a finding. */

import type { VariableAssignment } from "../../facts.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { lowerAscii, possibleName, upperAscii } from "../names/names.ts";
import type { Walker } from "../queries/walker.ts";

/** Modes that change where strings and names end, or what operators mean. */
const LEXING_MODES: ReadonlySet<string> = new Set(
  "ANSI ANSI_QUOTES NO_BACKSLASH_ESCAPES PIPES_AS_CONCAT IGNORE_SPACE HIGH_NOT_PRECEDENCE ORACLE DB2 MSSQL MAXDB POSTGRESQL".split(
    " ",
  ),
);

/** The other modes of MySQL and MariaDB. */
const PLAIN_MODES: ReadonlySet<string> = new Set(
  (
    "ALLOW_INVALID_DATES ERROR_FOR_DIVISION_BY_ZERO NO_AUTO_CREATE_USER NO_AUTO_VALUE_ON_ZERO NO_DIR_IN_CREATE " +
    "NO_ENGINE_SUBSTITUTION NO_FIELD_OPTIONS NO_KEY_OPTIONS NO_TABLE_OPTIONS NO_UNSIGNED_SUBTRACTION NO_ZERO_DATE " +
    "NO_ZERO_IN_DATE ONLY_FULL_GROUP_BY PAD_CHAR_TO_FULL_LENGTH REAL_AS_FLOAT STRICT_ALL_TABLES STRICT_TRANS_TABLES " +
    "TIME_TRUNCATE_FRACTIONAL TRADITIONAL MYSQL323 MYSQL40 EMPTY_STRING_IS_NULL SIMULTANEOUS_ASSIGNMENT TIME_ROUND_FRACTIONAL"
  ).split(" "),
);

/** The bits of those modes in the numeric form of sql_mode. */
const LEXING_BITS = 0x20141f0en;

const DIGITS_MAX = 19;

const HIDING_CHARSETS: ReadonlySet<string> = new Set(
  "gbk gb18030 big5 sjis cp932 ucs2 utf16 utf16le utf32 filename".split(" "),
);

const CHARSET_VARIABLES: ReadonlySet<string> = new Set(["names", "character set", "character_set_client"]);

/** Variables that open files, write logs, steer replication, or turn a safety or a tracker off. */
const GUARDED: ReadonlySet<string> = new Set(
  (
    "activate_all_roles_on_login automatic_sp_privileges aws_default_lambda_role aws_default_s3_role aws_default_comprehend_role " +
    "aws_default_sagemaker_role aws_default_bedrock_role aurora_load_from_s3_role aurora_select_into_s3_role binlog_format " +
    "binlog_row_image default_authentication_plugin event_scheduler foreign_key_checks general_log general_log_file gtid_mode " +
    "gtid_next gtid_purged init_connect init_file init_replica init_slave innodb_fast_shutdown innodb_flush_log_at_trx_commit " +
    "innodb_file_per_table local_infile log_bin_trust_function_creators log_error log_output log_raw mandatory_roles offline_mode " +
    "old_passwords partial_revokes pseudo_thread_id read_only require_secure_transport secure_file_priv server_id " +
    "session_track_gtids session_track_schema session_track_state_change session_track_system_variables " +
    "session_track_transaction_info slow_query_log slow_query_log_file sql_log_bin sql_require_primary_key sql_safe_updates " +
    "super_read_only sync_binlog tmpdir transaction_read_only tx_read_only unique_checks validate_password.policy " +
    "validate_password.length validate_password_policy validate_password_length print_identified_with_as_hex"
  ).split(" "),
);

/** All variables that the findings are about. */
const WATCHED: ReadonlySet<string> = new Set([...GUARDED, ...CHARSET_VARIABLES, "sql_mode"]);

/** Adds the findings of one assignment; `first` is its first token. */
export function findSetting(w: Walker, assignment: VariableAssignment, first: number): void {
  const { scope, name, value } = assignment;
  const last = w.at - 1;
  if (scope === "user") return;
  const written = name.startsWith("global.") ? name.slice(7) : name;
  const known = possibleName(WATCHED, written) ?? written;
  if (scope === "global") w.find("set-global", first, last, 1, known);
  else if (scope === "persist" || scope === "persist-only") w.find("set-persist", first, last, 1, known);
  if (known === "sql_mode") findLexingMode(w, value, first, last);
  if (CHARSET_VARIABLES.has(known)) findCharset(w, value, first, last);
  if (GUARDED.has(known)) w.find("set-guarded-variable", first, last, 1, `${known}=${shown(value)}`);
}

function shown(value: VariableAssignment["value"]): string {
  if (value.type === "default") return "DEFAULT";
  const isShort = value.text !== undefined && value.text.length <= 8 && value.type !== "string";
  return isShort ? upperAscii(value.text ?? "") : "…";
}

function findLexingMode(w: Walker, value: VariableAssignment["value"], first: number, last: number) {
  if (value.type === "default") return;
  if (value.type === "expression") {
    const source = expressionSource(w, first, last);
    if (source !== undefined) w.find("set-lexing-mode", first, last, 1, source);
    return;
  }
  const text = upperAscii(value.text ?? "");
  const isLexing =
    value.type === "number" ? hasLexingBits(text) : text.split(",").some((mode) => LEXING_MODES.has(mode.trim()));
  if (isLexing) w.find("set-lexing-mode", first, last, 1, "literal");
  // A mode by number in a string, or a name that we do not know.
  else if (value.type !== "number" && !isPlainList(text)) w.find("set-lexing-mode", first, last, 1, "expression");
}

function hasLexingBits(text: string): boolean {
  return !isInteger(text) || (BigInt(text) & LEXING_BITS) !== 0n;
}

function isInteger(text: string): boolean {
  for (const c of text) if (c < "0" || c > "9") return false;
  return text !== "" && text.length <= DIGITS_MAX;
}

function isPlainList(text: string): boolean {
  return text.split(",").every((mode) => mode.trim() === "" || PLAIN_MODES.has(mode.trim()));
}

/** What an expression for sql_mode is made of; `undefined` when it only adds or removes harmless modes. */
function expressionSource(w: Walker, first: number, last: number): string | undefined {
  let hasCurrentMode = false;
  let isVariable = false;
  let at = first;
  while (at <= last && w.kind(at) !== T.EQUAL && w.kind(at) !== T.ASSIGN) at++;
  for (at++; at <= last; at++) {
    const kind = w.kind(at);
    if (kind === T.AT_AT) hasCurrentMode = true;
    else if (kind === T.AT) isVariable = true;
    else if (kind === T.STRING) {
      if (!isPlainList(upperAscii(w.text.string(at)))) return "expression";
    } else if (kind === T.HEX_LITERAL || kind === T.NATIONAL_STRING || kind === T.PARAMETER) return "expression";
    else if (kind === K.FROM) return "expression";
  }
  if (isVariable) return "variable";
  return hasCurrentMode ? undefined : "expression";
}

function findCharset(w: Walker, value: VariableAssignment["value"], first: number, last: number) {
  if (value.type === "default") return;
  const isKnown = value.type === "string" || value.type === "keyword";
  const charset = lowerAscii(value.text ?? "");
  if (!isKnown) w.find("set-charset", first, last, 1, isUserVariable(w, last) ? "variable" : "expression");
  else if (HIDING_CHARSETS.has(charset)) w.find("set-charset", first, last, 1, charset);
}

/** Whether `= @name` ends at the token, as dump tools give back what they have saved. */
function isUserVariable(w: Walker, last: number): boolean {
  const before = w.kind(last - 2);
  return w.kind(last) === T.HOSTNAME && w.kind(last - 1) === T.AT && (before === T.EQUAL || before === T.ASSIGN);
}
