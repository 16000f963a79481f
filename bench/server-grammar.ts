/** The server's own grammar, made to speak of the scratch schemas and to leave out what would spoil the server. */
import type { ServerKind } from "../test/support/accounts.ts";
import type { Grammar } from "../test/support/sentences.ts";
import { readYaccGrammar } from "./yacc-grammar.ts";

const TABLES = [
  "t1",
  "t1",
  "t2",
  "t3",
  "qc1 . t2",
  "qc2 . t1",
  "qc2 . t4",
  "m1",
  "part1",
  "v1",
  "offset",
  "value",
  "qc1 . select",
];
const NAMES = ["a", "b", "c", "x", "t1", "t2", "f1", "p1", "q1", "h1", "offset", "value", "`select`"];
const COLUMNS = ["a", "b", "c", "a", "b", "x . a", "t1 . b", "qc1 . t1 . c"];
const USERS = ["qcu1", "qcu2", "'qcu1' @ '%'", "qcn1"];
const VARIABLES = [
  "sort_buffer_size",
  "max_join_size",
  "div_precision_increment",
  "unique_checks",
  "@@sort_buffer_size",
  "autocommit",
];

const COMMON: Readonly<Record<string, readonly string[]>> = {
  statement: ["<start>"],
  IDENT: NAMES,
  IDENT_QUOTED: ["`a`", "`b`", "`t1`", "`x`"],
  TEXT_STRING: ["'x'", "'a'", "'1'", "''", "'it''s'", "'2020-01-01'"],
  NCHAR_STRING: ["N'x'"],
  UNDERSCORE_CHARSET: ["_utf8mb4", "_latin1"],
  DOLLAR_QUOTED_STRING_SYM: ["$$x$$"],
  NUM: ["1", "2", "3", "10"],
  LONG_NUM: ["2147483648"],
  ULONGLONG_NUM: ["9223372036854775808"],
  DECIMAL_NUM: ["1.5"],
  FLOAT_NUM: ["1e1"],
  HEX_NUM: ["0x41", "x'41'"],
  HEX_STRING: ["x'41'"],
  BIN_NUM: ["0b1", "b'1'"],
  LEX_HOSTNAME: ["localhost"],
  NOT2_SYM: ["NOT"],
  OR2_SYM: ["||"],
  MYSQL_CONCAT_SYM: ["||"],
  SET_VAR: [":="],
  JSON_SEPARATOR_SYM: ["->"],
  JSON_UNQUOTED_SEPARATOR_SYM: ["->>"],
  WITH_ROLLUP_SYM: ["WITH ROLLUP"],
  WITH_CUBE_SYM: ["WITH CUBE"],
  WITH_SYSTEM_SYM: ["WITH SYSTEM"],
  FOR_SYSTEM_TIME_SYM: ["FOR SYSTEM_TIME"],
  VALUES_LESS_SYM: ["VALUES LESS"],
  VALUES_IN_SYM: ["VALUES IN"],
  LEFT_PAREN_ALT: ["("],
  LEFT_PAREN_LIKE: ["("],
  LEFT_PAREN_WITH: ["("],
  DOT_DOT_SYM: [".."],
  table_ident: TABLES,
  table_ident_opt_wild: [...TABLES, "t1 . *", "qc1 . t1 . *", "x", "x . *"],
  table_name: TABLES,
  simple_ident: [...COLUMNS, "@v1"],
  simple_ident_nospvar: COLUMNS,
  simple_ident_q: ["x . a", "t1 . b", "qc1 . t1 . c"],
  insert_ident: COLUMNS,
  user: USERS,
  user_or_role: USERS,
  user_maybe_role: USERS,
  role: ["qcr1"],
  grant_role: ["qcr1"],
  grant_user: USERS,
  sp_name: ["p1", "f1", "qc1 . p2", "g1", "e1", "tr1"],
  TEXT_STRING_filesystem: ["'/nowhere/qc'"],
  lvalue_variable: VARIABLES.slice(0, 4),
  internal_variable_name: VARIABLES.slice(0, 4),
  internal_variable_name_directly_assignable: VARIABLES.slice(0, 4),
  rvalue_system_variable: VARIABLES.slice(0, 4),
  schema: ["qc1", "qc2", "qc3"],
  opt_component: [],
};

/** Words of statements that would end, stop or spoil the server, and rules that hold only such. */
const FORBIDDEN = new Set([
  ..."SHUTDOWN RESTART_SYM CLONE_SYM KILL_SYM INSTALL_SYM UNINSTALL_SYM BINLOG_SYM CHANGE_REPLICATION PURGE".split(" "),
  ..."START_SLAVE STOP_SYM group_replication_start alter_instance_stmt shutdown_stmt restart_server_stmt clone_stmt".split(
    " ",
  ),
  ..."kill install uninstall install_stmt uninstall_stmt binlog_base64_event change_replication_stmt change purge".split(
    " ",
  ),
  ..."start_replica_stmt stop_replica_stmt group_replication create_undo_tablespace_stmt alter_undo_tablespace_stmt".split(
    " ",
  ),
  ..."drop_undo_tablespace_stmt slave start_slave stop_slave group_replication_stmt shutdown create_logfile_stmt".split(
    " ",
  ),
  ..."alter_logfile_stmt drop_logfile_stmt keep_gcc_happy load_stmt_from reset import_stmt slave_until INSTANCE_SYM".split(
    " ",
  ),
  ..."create_srs_stmt drop_srs_stmt create_tablespace_stmt alter_tablespace_stmt drop_tablespace_stmt UNDO_SYM LOGFILE_SYM".split(
    " ",
  ),
  ..."PARAM_MARKER".split(" "),
]);

export function serverGrammar(kind: ServerKind, grammarFile: string, symbolsFile: string, side: string): Grammar {
  const start =
    kind === "mysql"
      ? ["<simple_statement>", "<simple_statement>", "<simple_statement>", "<begin_stmt>"]
      : [
          "<verb_clause>",
          "<verb_clause>",
          "<verb_clause>",
          "<verb_clause>",
          "<begin_stmt_mariadb>",
          "<compound_statement>",
        ];
  const replacements = { ...COMMON, start, ...(kind === "mysql" ? {} : { PARAM_MARKER: [] }) };
  delete (replacements as Record<string, unknown>)["statement"];
  return readYaccGrammar({
    grammarFile,
    symbolsFile,
    side,
    replacements: { ...replacements, "whole-statement": ["<start>"] },
    forbidden: FORBIDDEN,
  });
}
