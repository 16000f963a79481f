/** Rules about what a statement does: files, cloud, definitions, accounts, administration, writes, dynamic SQL. */

import type { Finding, StatementFacts } from "../../sql/facts.ts";
import { findUnlistedBucket, unlessInLoads } from "./bucket-tests.ts";
import { isNamedSqlSeen } from "./named-statements.ts";
import { isRoutineAllowed } from "./policy-tests.ts";
import type { Rule, RuleInput } from "./rule.ts";

const MIGRATION = "Run definitions from a migration user that has its own profile";
const ADMINISTRATOR = "Run administration from an administrator's user, not from an application";

const has = (statement: StatementFacts, modifier: StatementFacts["modifiers"][number]): boolean =>
  statement.modifiers.includes(modifier);

const unlessTemporary =
  (points: number) =>
  (statement: StatementFacts): number =>
    has(statement, "temporary") ? 2 : points;

/** What the policy names under allow.routines is known to it. */
const unlessListed =
  (points: number) =>
  (finding: Finding, input: RuleInput): number => {
    const statement = finding.statement === undefined ? undefined : input.reading.statements[finding.statement];
    return statement !== undefined && isRoutineAllowed(statement, input) ? 0 : points;
  };

const FILES: readonly Rule[] = [
  {
    id: "file.out",
    category: "file",
    points: "65",
    title: "Rows are written to a file or a bucket",
    rewrite: "Read the rows through the connection and write the file on the client",
    example: { sql: "SELECT id, title FROM book INTO OUTFILE '/tmp/book.csv'" },
    findings: { "into-outfile": 65, "into-s3": unlessInLoads(65) },
  },
  {
    id: "file.read",
    category: "file",
    points: "60",
    title: "A file of the server is read",
    rewrite: "Read the file on the client and send its content as a parameter",
    example: { sql: "SELECT LOAD_FILE('/etc/hostname')" },
    findings: { "load-file": 60 },
  },
  {
    id: "file.load",
    category: "file",
    points: "35-60",
    title: "Rows are loaded from a file or a bucket",
    rewrite: "Load from a user whose profile names this rule, or use multi-row INSERT",
    example: { sql: "LOAD DATA INFILE '/tmp/book.csv' INTO TABLE book" },
    findings: { "load-data": 50, "load-data-local": 35, "load-from-s3": unlessInLoads(50) },
    kinds: { "import-table": 60 },
  },
  {
    id: "file.s3",
    category: "file",
    points: "100",
    title: "A bucket is read or written that the connection's loads do not list",
    rewrite: "Add an entry to loads of the connection, or let querycop load bring the object",
    example: { sql: "LOAD DATA FROM S3 's3://ingest/sales.csv' INTO TABLE shop.sales", subject: { loads: [] } },
    engines: ["mysql"],
    test: findUnlistedBucket,
  },
];

const CLOUD: readonly Rule[] = [
  {
    id: "aws.fn",
    category: "cloud",
    points: "70",
    title: "An Aurora function that calls another AWS service",
    rewrite: "Call the service from the application",
    example: { sql: "SELECT lambda_sync('arn:aws:lambda:us-east-1:1:function:f', '{}')" },
    findings: { "aws-function": 70 },
  },
  {
    id: "aws.proc",
    category: "cloud",
    points: "40-80",
    title: "A procedure of RDS, Aurora or the sys schema that changes the server",
    rewrite: "Use the console, the AWS CLI or an administrator's user, or name the procedure under allow.routines",
    example: { sql: "CALL mysql.rds_set_external_source('h', 3306, 'u', 'p', 'f', 4, 0)" },
    findings: {
      "aws-procedure": unlessListed(80),
      "rds-procedure": unlessListed(50),
      "sys-procedure": unlessListed(40),
    },
  },
];

const DEFINITIONS: readonly Rule[] = [
  {
    id: "ddl.dropdb",
    category: "schema",
    points: "90",
    title: "A whole schema is dropped",
    rewrite: "Take a snapshot and drop the schema from an administrator's user",
    example: { sql: "DROP DATABASE shop" },
    kinds: { "drop-schema": 90 },
  },
  {
    id: "ddl.drop",
    category: "schema",
    points: "2-65",
    title: "A table or view is dropped",
    rewrite: "Rename the table first and drop it later, from a migration user",
    example: { sql: "DROP TABLE book" },
    kinds: {
      "drop-table": unlessTemporary(65),
      "drop-sequence": unlessTemporary(50),
      "drop-view": 40,
      "drop-tablespace": 65,
      "drop-logfile-group": 65,
      "drop-server": 50,
      "drop-resource-group": 50,
      "drop-spatial-reference-system": 50,
      "drop-masking-policy": 65,
    },
  },
  {
    id: "ddl.truncate",
    category: "schema",
    points: "65",
    title: "A table is emptied without a trace in the binary log's rows",
    rewrite: "Delete in batches with WHERE and LIMIT",
    example: { sql: "TRUNCATE TABLE book" },
    kinds: { truncate: 65 },
  },
  {
    id: "ddl.alter",
    category: "schema",
    points: "25-65",
    title: "The definition of a table or schema changes",
    rewrite: MIGRATION,
    example: { sql: "ALTER TABLE book DROP COLUMN title" },
    kinds: {
      "alter-table": alterTablePoints,
      "alter-view": 35,
      "alter-schema": 40,
      "alter-sequence": 35,
      "alter-server": 50,
      "alter-tablespace": 50,
      "alter-logfile-group": 50,
      "alter-resource-group": 50,
    },
  },
  {
    id: "ddl.rename",
    category: "schema",
    points: "55",
    title: "A table is renamed",
    rewrite: MIGRATION,
    example: { sql: "RENAME TABLE book TO book_old" },
    kinds: { "rename-table": 55 },
  },
  {
    id: "ddl.index",
    category: "schema",
    points: "25-35",
    title: "An index is created or dropped",
    rewrite: MIGRATION,
    example: { sql: "DROP INDEX book_title ON book" },
    kinds: { "create-index": 25, "drop-index": 35 },
  },
  {
    id: "ddl.create",
    category: "schema",
    points: "2-50",
    title: "A table, view or schema is created",
    rewrite: MIGRATION,
    example: { sql: "CREATE TABLE book (id INT)" },
    kinds: {
      "create-table": unlessTemporary(25),
      "create-view": 30,
      "create-schema": 30,
      "create-sequence": unlessTemporary(25),
      "create-tablespace": 50,
      "create-logfile-group": 50,
      "create-resource-group": 50,
      "create-spatial-reference-system": 50,
      "create-masking-policy": 50,
      "vitess-migration": 40,
    },
  },
  {
    id: "ddl.routine",
    category: "schema",
    points: "50",
    title: "Code is stored in the database, where it later runs out of sight",
    rewrite: MIGRATION,
    example: { sql: "CREATE TRIGGER book_log BEFORE INSERT ON book FOR EACH ROW SET NEW.id = 1" },
    kinds: {
      "create-procedure": 50,
      "create-function": 50,
      "create-package": 50,
      "create-library": 50,
      "create-trigger": 50,
      "create-event": 50,
      "alter-procedure": 50,
      "alter-function": 50,
      "alter-library": 50,
      "alter-event": 50,
      "drop-procedure": 50,
      "drop-function": 50,
      "drop-package": 50,
      "drop-library": 50,
      "drop-trigger": 50,
      "drop-event": 50,
    },
  },
];

function alterTablePoints(statement: StatementFacts): number {
  if (has(statement, "drops-partition")) return 65;
  if (has(statement, "drops-column")) return 55;
  return has(statement, "adds-only") ? 30 : 40;
}

const PRIVILEGES: readonly Rule[] = [
  {
    id: "priv.grant",
    category: "privilege",
    points: "50-85",
    title: "Privileges are given or taken",
    rewrite: ADMINISTRATOR,
    example: { sql: "GRANT ALL PRIVILEGES ON *.* TO 'reader'@'10.0.0.%'" },
    kinds: { grant: grantPoints, "grant-role": 60, revoke: 50, "revoke-role": 50 },
  },
  {
    id: "priv.user",
    category: "privilege",
    points: "15-85",
    title: "An account or role is created, changed or dropped",
    rewrite: ADMINISTRATOR,
    example: { sql: "CREATE USER 'reader'@'%' IDENTIFIED BY 'changeme'" },
    kinds: {
      "create-user": (statement) => 60 + accountPoints(statement),
      "alter-user": (statement) => 70 + accountPoints(statement),
      "drop-user": 70,
      "rename-user": 70,
      "set-password": 70,
      "create-role": 50,
      "drop-role": 60,
      "set-default-role": 50,
      "set-role": 15,
    },
  },
];

const SERVER_PRIVILEGES: ReadonlySet<string> = new Set(["SUPER", "FILE", "SHUTDOWN", "CREATE USER", "PROXY"]);

function grantPoints(statement: StatementFacts): number {
  const isWide = has(statement, "all-privileges") || has(statement, "on-everything");
  const isServerWide = statement.privileges.some((privilege) => SERVER_PRIVILEGES.has(privilege));
  return isWide || isServerWide || has(statement, "with-grant-option") ? 85 : 60;
}

function accountPoints(statement: StatementFacts): number {
  const isFromAnywhere = statement.accounts.some(({ host }) => host === undefined || host === "%");
  return (isFromAnywhere ? 10 : 0) + (has(statement, "mysql-native-password") ? 5 : 0);
}

const ADMINISTRATION: readonly Rule[] = [
  {
    id: "adm.udf",
    category: "admin",
    points: "95",
    title: "Native code is loaded into the server",
    rewrite: ADMINISTRATOR,
    example: { sql: "CREATE FUNCTION sys_exec RETURNS INT SONAME 'lib_mysqludf_sys.so'" },
    findings: { "native-code": 95 },
    kinds: { "create-loadable-function": 95 },
  },
  {
    id: "adm.remote",
    category: "admin",
    points: "65",
    title: "Another server is attached, so that its rows are read and written through this one",
    rewrite: ADMINISTRATOR,
    example: { sql: "CREATE TABLE book (id INT) ENGINE=FEDERATED CONNECTION='mysql://reader@192.0.2.1/shop/book'" },
    findings: { "remote-server": 65 },
    kinds: { "create-server": 65 },
  },
  {
    id: "adm.plugin",
    category: "admin",
    points: "95",
    title: "A plugin or component is installed or removed",
    rewrite: ADMINISTRATOR,
    example: { sql: "INSTALL PLUGIN audit SONAME 'audit.so'" },
    kinds: { "install-plugin": 95, "uninstall-plugin": 95, "install-component": 95, "uninstall-component": 95 },
  },
  {
    id: "adm.shutdown",
    category: "admin",
    points: "95",
    title: "The server is stopped",
    rewrite: "Use the console or the AWS CLI",
    example: { sql: "SHUTDOWN" },
    kinds: { shutdown: 95, restart: 95 },
  },
  {
    id: "adm.repl",
    category: "admin",
    points: "80-95",
    title: "Replication or the binary log is changed, or the whole server is copied",
    rewrite: ADMINISTRATOR,
    example: { sql: "PURGE BINARY LOGS TO 'binlog.000010'" },
    kinds: {
      "change-replication-source": 95,
      "change-replication-filter": 90,
      "start-replica": 80,
      "stop-replica": 85,
      "start-group-replication": 80,
      "stop-group-replication": 90,
      "reset-binary-logs": 95,
      "reset-replica": 95,
      "purge-logs": 90,
      binlog: 90,
      clone: 95,
    },
  },
  {
    id: "adm.instance",
    category: "admin",
    points: "30-85",
    title: "The whole server is locked or reconfigured",
    rewrite: ADMINISTRATOR,
    example: { sql: "LOCK INSTANCE FOR BACKUP" },
    kinds: {
      "alter-instance": 85,
      "lock-instance": 60,
      "unlock-instance": 30,
      backup: 60,
      reset: 60,
      "reset-persist": 65,
      "set-resource-group": 30,
    },
  },
  {
    id: "adm.flush",
    category: "admin",
    points: "30-50",
    title: "Caches, logs or tables are flushed",
    rewrite: ADMINISTRATOR,
    example: { sql: "FLUSH TABLES WITH READ LOCK" },
    kinds: {
      flush: (statement) => (has(statement, "with-read-lock") || has(statement, "for-export") ? 50 : 30),
    },
  },
  {
    id: "adm.kill",
    category: "admin",
    points: "40",
    title: "Another connection or its statement is ended",
    rewrite: "Use KILL QUERY on statements of your own, or an administrator's user",
    example: { sql: "KILL 42" },
    kinds: { kill: 40 },
  },
  {
    id: "adm.lock",
    category: "admin",
    points: "20",
    title: "Tables are locked for other connections",
    rewrite: "Use a transaction with SELECT … FOR UPDATE",
    example: { sql: "LOCK TABLES book WRITE" },
    kinds: { "lock-tables": 20 },
  },
  {
    id: "adm.handler",
    category: "admin",
    points: "20",
    title: "HANDLER reads rows past the optimizer and past consistent reads",
    rewrite: "Use SELECT",
    example: { sql: "HANDLER book OPEN" },
    kinds: { "handler-open": 20, "handler-read": 20 },
  },
  {
    id: "adm.table",
    category: "admin",
    points: "5-40",
    title: "A table is checked, analysed or rebuilt",
    rewrite: "Run maintenance outside of busy hours",
    example: { sql: "OPTIMIZE TABLE book" },
    kinds: {
      "analyze-table": 10,
      "check-table": 10,
      "checksum-table": 5,
      "optimize-table": 30,
      "repair-table": 40,
      "cache-index": 20,
      "load-index": 10,
    },
  },
  {
    id: "adm.setglobal",
    category: "admin",
    points: "50-65",
    title: "A setting of the whole server is changed",
    rewrite: "Use SET SESSION, or the parameter group of the instance",
    example: { sql: "SET GLOBAL max_connections = 10" },
    findings: { "set-global": 50, "set-persist": 65 },
  },
  {
    id: "adm.setvar",
    category: "admin",
    points: "3-100",
    title: "A variable that guards logging, files, checks or lexing is changed",
    rewrite: "Leave the variable as the server's administrator set it",
    example: { sql: "SET SESSION sql_log_bin = 0" },
    findings: {
      "set-guarded-variable": guardedVariablePoints,
      "set-lexing-mode": 20,
      // Every restored dump gives back a saved charset; what it has become is asked, as for sql_mode.
      "set-charset": ({ detail }) => (detail === "variable" ? 20 : 80),
      "hint-set-var": 5,
    },
  },
];

/** Settings that dump tools and drivers change: points for the value that turns a check off. All others count 60. */
const ROUTINE_VARIABLES: Readonly<Record<string, number>> = {
  foreign_key_checks: 5,
  unique_checks: 3,
  sql_safe_updates: 10,
  session_track_gtids: 3,
  session_track_schema: 10,
  session_track_state_change: 3,
  session_track_system_variables: 10,
  session_track_transaction_info: 3,
  transaction_read_only: 5,
  tx_read_only: 5,
  default_transaction_read_only: 5,
  sql_log_bin: 70,
};

const ON_VALUES: ReadonlySet<string> = new Set(["1", "ON", "TRUE", "DEFAULT"]);

const TRACKING = "session_track_";

/** SAFETY: what the server reports of a session is for the session's own SET alone, behind which querycop puts it right. */
function hidesTracking({ within, variables }: StatementFacts, name: string): boolean {
  return within !== "packet" || variables.some((each) => each.name === name && each.scope === "statement");
}

/** The finding's detail is "name=value". */
function guardedVariablePoints(finding: Finding, { reading }: RuleInput): number {
  const [name = "", value = ""] = (finding.detail ?? "").split("=");
  const statement = finding.statement === undefined ? undefined : reading.statements[finding.statement];
  if (name.startsWith(TRACKING) && statement !== undefined && hidesTracking(statement, name)) return 100;
  const routine = ROUTINE_VARIABLES[name];
  if (routine === undefined) return 60;
  return ON_VALUES.has(value) ? 0 : routine;
}

const WRITES: readonly Rule[] = [
  {
    id: "dml.nowhere",
    category: "dml",
    points: "30-60",
    title: "All rows of a table are changed: nothing in WHERE or a join leaves one out",
    rewrite: "Add a WHERE that names the rows, or delete in batches with LIMIT",
    example: { sql: "DELETE FROM book" },
    findings: {
      "write-without-where": (finding, input) => (limitOf(finding, input) ? 30 : 60),
      "write-where-constant": 60,
      "write-where-self-comparison": 50,
      "write-upsert-self": 60,
      "write-upsert-all": 30,
    },
  },
  {
    id: "dml.multi",
    category: "dml",
    points: "15",
    title: "UPDATE or DELETE of several tables at once",
    rewrite: "Write one statement per table",
    example: { sql: "DELETE a, b FROM a JOIN b ON a.id = b.id WHERE a.id = 1" },
    findings: { "write-many-tables": 15 },
  },
];

function limitOf(finding: Finding, input: { readonly reading: { readonly statements: readonly StatementFacts[] } }) {
  return finding.statement !== undefined && input.reading.statements[finding.statement]?.limit !== undefined;
}

const DYNAMIC: readonly Rule[] = [
  {
    id: "dyn.prepare",
    category: "dynamic",
    points: "10",
    title: "SQL is prepared from text that the statement carries",
    rewrite: "Prepare through the driver, so that the text is judged before it runs",
    example: { sql: "PREPARE s FROM 'SELECT 1'" },
    findings: { "prepare-literal": 10 },
  },
  {
    id: "dyn.opaque",
    category: "dynamic",
    points: "80",
    title: "SQL is run from text that querycop cannot know",
    rewrite: "Prepare a literal, or a variable that this session has set to one with SET",
    example: { sql: "PREPARE s FROM @text" },
    findings: { "prepare-variable": 80 },
    kinds: { execute: (statement, input) => (isNamedSqlSeen(statement, input) ? 0 : 80) },
  },
  {
    id: "dyn.exec",
    category: "dynamic",
    points: "10",
    title: "A statement prepared earlier by text is run",
    rewrite: "Prepare and execute through the driver",
    example: { sql: "EXECUTE s" },
    kinds: { execute: 10, "execute-immediate": 10 },
  },
  {
    id: "dyn.call",
    category: "dynamic",
    points: "10",
    title: "A routine runs whose body querycop does not see",
    rewrite: "Name the routine under allow.routines or allow.functions when its body is known",
    example: { sql: "CALL close_month()" },
    findings: { "unknown-routine": unlessListed(10) },
  },
  {
    id: "dyn.unknown",
    category: "dynamic",
    points: "0-40",
    title: "The statement is not understood",
    rewrite: "Check the statement for typing errors; report it if the server runs it",
    example: { sql: "FROBNICATE book" },
  },
  {
    id: "dyn.opinion",
    category: "dynamic",
    points: "20",
    title: "A second parser sees more in the statement than querycop does",
    rewrite: "Write the statement in the usual form; report it, because querycop should see it too",
    example: {
      sql: "SELECT id FROM member",
      disagreements: [{ about: "table", detail: "secret" }],
    },
    findings: { "second-opinion": 20 },
  },
];

export const EFFECT_RULES: readonly Rule[] = [
  ...FILES,
  ...CLOUD,
  ...DEFINITIONS,
  ...PRIVILEGES,
  ...ADMINISTRATION,
  ...WRITES,
  ...DYNAMIC,
];
