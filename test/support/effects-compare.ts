/** Where our facts say less than a real server did. */
import {
  type Analysis,
  type MysqlContext,
  type Reading,
  SQL_MODE,
  type StatementFacts,
  type StatementKind,
} from "../../src/sql/facts.ts";
import type { ServerKind } from "./accounts.ts";
import { CLOSURE, SCHEMA } from "./effects-scratch.ts";
import type { Observation, ServerStatement } from "./effects-server.ts";

const VERSIONS: Readonly<Record<ServerKind, number>> = { mysql: 90704, mariadb: 101119, mariadb11: 110806 };
const ANSI = SQL_MODE.ANSI_QUOTES | SQL_MODE.PIPES_AS_CONCAT | SQL_MODE.IGNORE_SPACE;

/** What a session of effects-server.ts with this sql_mode is like. */
export function contextOf(kind: ServerKind, mode: string): MysqlContext {
  const bits: Readonly<Record<string, number>> = { ...SQL_MODE, ANSI };
  return {
    engine: "mysql",
    dialect: kind === "mysql" ? "mysql" : "mariadb",
    serverVersion: VERSIONS[kind],
    sqlMode: mode.split(",").reduce((sum, name) => sum | (bits[name] ?? 0), 0),
    charset: "utf8mb4",
    schema: SCHEMA,
    multiStatements: true,
  };
}

/** The server's names of kinds that are not ours with underscores, and what of ours each may be. */
const KINDS: Readonly<Record<string, readonly StatementKind[]>> = {
  // SHOW COUNT(*) WARNINGS is a SELECT of a variable.
  select: ["select", "table", "values", "show"],
  insert_select: ["insert-select"],
  create_view: ["create-view", "alter-view"],
  empty_query: ["empty"],
  change_db: ["use"],
  create_db: ["create-schema"],
  drop_db: ["drop-schema"],
  alter_db: ["alter-schema"],
  alter_db_upgrade: ["alter-schema"],
  create_udf: ["create-loadable-function"],
  ha_open: ["handler-open"],
  ha_read: ["handler-read"],
  ha_close: ["handler-close"],
  call_procedure: ["call"],
  prepare_sql: ["prepare"],
  execute_sql: ["execute"],
  dealloc_sql: ["drop-prepare"],
  set_option: ["set", "set-names", "set-transaction", "set-password", "set-role", "set-default-role"],
  set_role: ["set-role"],
  alter_user_default_role: ["set-default-role", "alter-user"],
  load: ["load-data", "load-xml"],
  import: ["import-table"],
  assign_to_keycache: ["cache-index"],
  preload_keys: ["load-index"],
  analyze: ["analyze-table"],
  check: ["check-table"],
  checksum: ["checksum-table"],
  optimize: ["optimize-table"],
  repair: ["repair-table"],
  replica_start: ["start-replica"],
  replica_stop: ["stop-replica"],
  start_slave: ["start-replica"],
  stop_slave: ["stop-replica"],
  start_all_slaves: ["start-replica"],
  stop_all_slaves: ["stop-replica"],
  group_replication_start: ["start-group-replication"],
  group_replication_stop: ["stop-group-replication"],
  change_repl_filter: ["change-replication-filter"],
  change_master: ["change-replication-source"],
  xa_start: ["xa-begin"],
  show_fields: ["show", "describe"],
  help: ["help"],
  revoke_all: ["revoke"],
  grant_roles: ["grant-role"],
  revoke_roles: ["revoke-role"],
  explain_other: ["explain"],
  show_explain: ["show", "explain"],
  show_analyze: ["show", "explain"],
  show_parse_tree: ["show"],
  purge: ["purge-logs"],
  purge_before_date: ["purge-logs"],
  backup: ["backup"],
  backup_lock: ["backup"],
  reset: ["reset", "reset-binary-logs", "reset-replica", "reset-persist"],
  create_package_body: ["create-package"],
  drop_package_body: ["drop-package"],
  alter_tablespace: ["create-tablespace", "alter-tablespace", "drop-tablespace"],
};

const IN_FRONT: ReadonlySet<StatementFacts["within"]> = new Set(["explained", "explain-analyze", "set-statement"]);

function kindsOf(server: string): readonly StatementKind[] {
  if (server.startsWith("show_")) return KINDS[server] ?? ["show"];
  return KINDS[server] ?? [server.replaceAll("_", "-") as StatementKind];
}

/** All that one reading says, under the names the observation uses. */
class Claims {
  readonly #reading: Reading;
  readonly read = new Set<string>();
  readonly written = new Set<string>();
  readonly locked = new Set<string>();
  /** The last part of every name of an object, account or table. */
  readonly names = new Set<string>();
  readonly variables = new Map<string, Set<string>>();
  readonly functions = new Set<string>();
  readonly kinds = new Set<StatementKind>();

  readonly hasAssignment: boolean;

  constructor(reading: Reading, sql: Uint8Array, schema: string) {
    this.#reading = reading;
    this.hasAssignment = Buffer.from(sql).includes(":=");
    for (const statement of reading.statements) this.#add(statement, schema);
  }

  #add(statement: StatementFacts, schema: string): void {
    this.kinds.add(statement.kind);
    // These open what they look after as writers do.
    const isCare =
      /^(?:cache-index|load-index|check-table|analyze-table|repair-table|optimize-table|handler-|lock-tables|flush)/.test(
        statement.kind,
      );
    const isLocking = isCare || statement.modifiers.includes("for-update") || statement.modifiers.includes("for-share");
    const key = (table: { schema: string | undefined; table: string }): string =>
      `${table.schema ?? schema}.${table.table}`.toLowerCase();
    for (const table of statement.tablesRead) {
      addClosure(this.read, key(table));
      if (isLocking) addClosure(this.locked, key(table));
      this.names.add(table.table.toLowerCase());
    }
    for (const table of statement.tablesWritten) {
      addClosure(this.written, key(table));
      this.names.add(table.table.toLowerCase());
      this.names.add((table.schema ?? schema).toLowerCase());
    }
    for (const object of statement.objects) {
      this.names.add(object.name.toLowerCase());
      const name = `${object.schema ?? schema}.${object.name}`.toLowerCase();
      for (const touched of closureOf(name)) this.#touch(touched);
    }
    for (const call of statement.functions) {
      this.functions.add(call.name.toLowerCase());
      for (const touched of closureOf(`${call.schema ?? schema}.${call.name}`.toLowerCase())) this.#touch(touched);
    }
    for (const account of statement.accounts) this.names.add(account.user.toLowerCase());
    for (const { scope, name } of statement.variables) {
      const scopes = this.variables.get(name.toLowerCase()) ?? new Set();
      this.variables.set(name.toLowerCase(), scopes.add(scope));
    }
  }

  #touch(name: string): void {
    this.read.add(name);
    this.written.add(name);
  }

  /** Text runs that the facts do not have, such as what EXECUTE runs when the text did not prepare it. */
  get isOpaque(): boolean {
    const dynamics = this.#reading.statements.flatMap(({ dynamic }) => dynamic ?? []);
    const known = new Set(dynamics.filter(({ source }) => source === "literal").map(({ name }) => name?.toLowerCase()));
    return dynamics.some(({ source, name }) =>
      source === "named" ? !known.has(name?.toLowerCase()) : source !== "literal",
    );
  }
}

function closureOf(name: string): readonly string[] {
  const all: string[] = [];
  const queue = [...(CLOSURE.get(name) ?? [])];
  for (const each of queue) {
    if (all.includes(each)) continue;
    all.push(each);
    queue.push(...(CLOSURE.get(each) ?? []));
  }
  return all;
}

function addClosure(set: Set<string>, name: string): void {
  set.add(name);
  for (const each of closureOf(name)) set.add(each);
}

/** What the server did that the facts do not say, a line each. */
export function underReports(analysis: Analysis, observation: Observation): string[] {
  const { understood, statements } = analysis;
  if (!understood) return [];
  const claims = new Claims(analysis, analysis.sql, SCHEMA);
  if (claims.isOpaque) return kindDifferences(statements, observation.statements);
  return [
    ...kindDifferences(statements, observation.statements),
    ...tableDifferences(claims, observation),
    ...errorDifferences(claims, observation.statements),
    ...programDifferences(claims, observation),
    ...changeDifferences(claims, observation),
    ...variableDifferences(claims, observation),
    ...otherDifferences(claims, observation, statements),
  ];
}

function kindDifferences(own: readonly StatementFacts[], server: readonly ServerStatement[]): string[] {
  const ofText = server.filter(({ level }) => level === 0);
  // The statements of flow control outside of stored code are those of one statement.
  const tops: StatementFacts[] = [];
  for (const statement of own) tops[statement.packetIndex] ??= statement;
  const lines: string[] = [];
  for (const [index, { kind }] of ofText.entries()) {
    if (kind === "error" || (kind === "empty_query" && index === tops.length)) continue;
    const top = tops[index];
    if (top === undefined) lines.push(`kind: the server runs a statement ${index + 1}, ${kind}`);
    else if (kind !== "compound_sql" && !isOfKind(kind, top, own))
      lines.push(`kind: ${top.kind} for the server's ${kind}`);
  }
  return lines;
}

function isOfKind(kind: string, top: StatementFacts, all: readonly StatementFacts[]): boolean {
  const wanted = kindsOf(kind);
  if (wanted.includes(top.kind)) return true;
  return all.some(
    ({ parent, within, kind: inner }) =>
      IN_FRONT.has(within) &&
      parent !== undefined &&
      all[parent]?.packetIndex === top.packetIndex &&
      wanted.includes(inner),
  );
}

function tableDifferences(claims: Claims, { tables }: Observation): string[] {
  const lines: string[] = [];
  for (const { name, isRead, isLockedForWrite, isChanged } of tables) {
    const key = name.toLowerCase();
    const isWritten = claims.written.has(key);
    if (isChanged && !isWritten && !claims.locked.has(key)) lines.push(`table: ${name} is written`);
    else if (isLockedForWrite && !isWritten && !claims.locked.has(key))
      lines.push(`table: ${name} is locked for writing`);
    if (isRead && !isWritten && !claims.read.has(key) && !claims.kinds.has("drop-trigger"))
      lines.push(`table: ${name} is read`);
  }
  return lines;
}

const NAMED_IN_ERRORS: ReadonlyMap<number, RegExp> = new Map([
  [1146, /^Table '(.+)' doesn't exist/],
  [1051, /^Unknown table '(.+)'/],
  [1305, /^(?:FUNCTION|PROCEDURE) (?:[^ ]+\.)?([^ .]+) does not exist/],
]);

/** Names that the server looked for in vain are names of the text. */
function errorDifferences(claims: Claims, statements: readonly ServerStatement[]): string[] {
  const lines: string[] = [];
  for (const { errorNumber, message } of statements) {
    const name = NAMED_IN_ERRORS.get(errorNumber)?.exec(message)?.[1]?.toLowerCase();
    // Wildcards name tables that the text does not list.
    if (name === undefined || (errorNumber === 1051 && ![...claims.kinds].some((kind) => kind.startsWith("drop-"))))
      continue;
    const isKnown =
      errorNumber === 1305
        ? claims.functions.has(name) || claims.names.has(name)
        : name.split(",").every((each) => claims.read.has(each) || claims.written.has(each) || claims.names.has(each));
    if (!isKnown) lines.push(`error: ${errorNumber} names ${name}`);
  }
  return lines;
}

function programDifferences(claims: Claims, { programs }: Observation): string[] {
  // What a routine, a view or a trigger runs is theirs: the text says only how it starts.
  const lines: string[] = [];
  for (const program of programs) {
    const [type = "", name = ""] = program.toLowerCase().split(" ");
    if ((type !== "function" && type !== "procedure") || name === "." || name.startsWith("sys.")) continue;
    const last = name.slice(name.indexOf(".") + 1);
    const isCalledByOther = [...claims.names, ...claims.functions].some((each) =>
      closureOf(`qc1.${each}`).includes(name),
    );
    if (!claims.functions.has(last) && !claims.names.has(last) && !isCalledByOther)
      lines.push(`program: ${program} runs`);
  }
  return lines;
}

/** Kinds that change what they do not name. */
const CHANGES_UNNAMED: ReadonlyMap<string, ReadonlySet<StatementKind>> = new Map<string, ReadonlySet<StatementKind>>([
  ["account", new Set(["set-password", "alter-user", "grant", "revoke", "create-user", "set-default-role"])],
  [
    "grant",
    new Set([
      "set-password",
      "alter-user",
      "drop-user",
      "drop-role",
      "rename-user",
      "create-procedure",
      "create-function",
      "create-role",
    ]),
  ],
  ["persisted", new Set(["reset-persist", "set"])],
]);

function changeDifferences(claims: Claims, { changes }: Observation): string[] {
  return changes.filter((change) => !isNamed(claims, change)).map((change) => `change: ${change}`);
}

function isNamed(claims: Claims, change: string): boolean {
  const blank = change.indexOf(" ");
  const what = change.slice(0, blank);
  const name = change.slice(blank + 1).toLowerCase();
  const unnamed = CHANGES_UNNAMED.get(what);
  if (unnamed !== undefined && [...claims.kinds].some((kind) => unnamed.has(kind))) return true;
  if (what === "persisted") return claims.variables.has(name);
  if (what === "resource-group") return [...claims.kinds].some((kind) => kind.endsWith("resource-group"));
  if (what === "srs") return [...claims.kinds].some((kind) => kind.endsWith("spatial-reference-system"));
  if (what === "account" || what === "grant") return claims.names.has(name.slice(0, name.lastIndexOf("@")));
  const [schema = "", last] = name.split(".");
  if (last === undefined) return claims.names.has(schema);
  // What goes with its schema or its table goes unnamed.
  if (claims.kinds.has("drop-schema") && claims.names.has(schema)) return true;
  if (
    what === "trigger" &&
    (claims.kinds.has("drop-table") || claims.kinds.has("rename-table") || claims.kinds.has("alter-table"))
  )
    return true;
  if (what === "table" && [...claims.written, ...claims.read].some((each) => CLOSURE.get(name)?.includes(each)))
    return true;
  return claims.names.has(last) || claims.names.has(name);
}

/** Variables that statements of a kind set without naming them. */
const SET_UNNAMED: readonly (readonly [RegExp, readonly StatementKind[]])[] = [
  [/^(?:character_set_|collation_)/, ["set-names", "use", "drop-schema", "alter-schema", "set"]],
  [/^(?:tx_|transaction_)/, ["set-transaction", "begin", "set"]],
  [/^(?:autocommit|completion_type)$/, ["begin"]],
];

function variableDifferences(claims: Claims, observation: Observation): string[] {
  const lines: string[] = [];
  const isSet = (name: string, scopes: readonly string[]): boolean => {
    const alias = name.replace(/^tx_/, "transaction_");
    for (const each of [name, alias, ALIASES.get(name) ?? name]) {
      const found = claims.variables.get(each);
      if (found !== undefined && scopes.some((scope) => found.has(scope))) return true;
    }
    return SET_UNNAMED.some(([pattern, kinds]) => pattern.test(name) && kinds.some((kind) => claims.kinds.has(kind)));
  };
  for (const name of observation.globalVariables) {
    if (!isSet(name, ["global", "persist"])) lines.push(`variable: global ${name}`);
  }
  for (const name of observation.sessionVariables) {
    if (!isSet(name, ["session", "unspecified", "local", "global", "persist"])) lines.push(`variable: session ${name}`);
  }
  // What sessions know of user variables they forget at every other statement: see session/mysql/judging/dynamic-sql.ts.
  const isKept = [...claims.kinds].every((kind) => KEEPING_VARIABLES.has(kind)) && !claims.hasAssignment;
  for (const name of isKept ? observation.userVariables : []) {
    if (claims.variables.get(name.toLowerCase())?.has("user") !== true) lines.push(`variable: @${name}`);
  }
  return lines;
}

const KEEPING_VARIABLES: ReadonlySet<StatementKind> = new Set<StatementKind>([
  ...(["empty", "use", "show", "help", "begin", "commit", "rollback", "savepoint", "set-names"] as const),
  ...(["set-transaction", "unlock-tables", "select", "set", "rollback-to-savepoint", "release-savepoint"] as const),
]);

const ALIASES: ReadonlyMap<string, string> = new Map([
  ["storage_engine", "default_storage_engine"],
  ["default_storage_engine", "storage_engine"],
  ["tmp_memory_table_size", "tmp_table_size"],
  ["log_slow_query_time", "long_query_time"],
  ["log_slow_disabled_statements", "log_slow_admin_statements"],
  ["tx_isolation", "transaction_isolation"],
  ["transaction_isolation", "tx_isolation"],
  ["tx_read_only", "transaction_read_only"],
  ["transaction_read_only", "tx_read_only"],
]);

function otherDifferences(claims: Claims, observation: Observation, statements: readonly StatementFacts[]): string[] {
  const lines: string[] = [];
  for (const name of observation.preparedStatements) {
    if (!claims.names.has(name.toLowerCase())) lines.push(`prepared: ${name}`);
  }
  if (observation.userLocks.length > 0 && !claims.functions.has("get_lock")) lines.push("function: GET_LOCK");
  if (observation.hasSlept && !claims.functions.has("sleep")) lines.push("function: SLEEP");
  const reaches = statements.flatMap(({ reach }) => reach.map(({ type }) => type));
  if (observation.files.length > 0 && !reaches.some((type) => type === "outfile" || type === "dumpfile")) {
    lines.push(`file: ${observation.files.join()}`);
  }
  if (
    observation.schema !== SCHEMA &&
    !["use", "drop-schema"].some((kind) => claims.kinds.has(kind as StatementKind))
  ) {
    lines.push(`schema: ${observation.schema} is the current one`);
  }
  return lines;
}
