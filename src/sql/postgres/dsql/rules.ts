/**
 * What Aurora DSQL refuses, as a table with dates: it changes every month, so each row says when it was last seen to hold, and
 * rows that hold no longer stay with the day of their end. The messages are the server's own. A file of the same shape takes
 * the place of rows (dsql.rules_file).
 */
import type { DsqlRule, NodePattern } from "./rule.ts";

/** Recorded against a cluster: https://github.com/Dreamescaper/dsql-emulator, test/conformance/golden. */
const PROBED = { seen: "2026-09-18", source: "github.com/Dreamescaper/dsql-emulator golden record" } as const;
const GUIDE = "docs.aws.amazon.com/aurora-dsql/latest/userguide";
const LIMITS = { seen: "2026-09-15", source: `${GUIDE}/CHAP_quotas.html` } as const;
const NEWS = `${GUIDE}/release-notes.html`;
const UNSUPPORTED = "0A000";

const statement = (
  id: string,
  message: string,
  title: string,
  instead: string,
  ...patterns: readonly NodePattern[]
): DsqlRule => ({ id, scope: "statement", title, ...PROBED, sqlState: UNSUPPORTED, message, instead, patterns });

/** Settings that may be changed. */
const SETTINGS = [
  ...["application_name", "client_encoding", "datestyle", "extra_float_digits", "intervalstyle", "timezone"],
  ...["search_path", "role", "enable_*", "dsql.*"],
];

/** Types that no column has, though some of them exist while a query runs. */
const COLUMN_TYPES = [
  ...["money", "xml", "inet", "cidr", "macaddr", "macaddr8", "point", "line", "lseg", "box", "path", "polygon"],
  ...["circle", "tsvector", "tsquery", "int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange"],
  ...["int4multirange", "int8multirange", "nummultirange", "tsmultirange", "tstzmultirange", "datemultirange"],
  ...["bit", "varbit", "pg_lsn", "txid_snapshot", "pg_snapshot"],
];

const COLUMN_TYPE_ADVICE =
  "Use text, numeric (for money), jsonb, uuid or bytea. Text search and geometry belong beside the database.";
const CONSTRAINT_ADVICE =
  "CHECK and FOREIGN KEY: write NOT VALID, then ALTER TABLE ASYNC t VALIDATE CONSTRAINT c. UNIQUE: CREATE UNIQUE INDEX ASYNC, wait for its job, then ADD CONSTRAINT … UNIQUE USING INDEX. PRIMARY KEY: a new table, into which the rows are copied.";
const ROWS_ADVICE = "Divide the work into transactions of less than 3,000 changed rows, by ranges of the key.";

const addConstraint = (types: readonly string[], unless: string): NodePattern => ({
  node: "AlterTableCmd",
  has: { subtype: ["AT_AddConstraint"], "def.Constraint.contype": types },
  lacks: { [unless]: true },
});

const alter = (...subtypes: readonly string[]): NodePattern => ({ node: "AlterTableCmd", has: { subtype: subtypes } });
const typeOf = (...names: readonly string[]): NodePattern => ({
  node: "ColumnDef",
  has: { "typeName.names.String.sval": names },
});

const TABLES: readonly DsqlRule[] = [
  statement(
    "temporary-table",
    "TEMPORARY or TEMP table not supported*",
    "Temporary tables",
    "Use a common table expression (WITH), or a table of its own with a column for the session, and DELETE its rows.",
    { node: "CreateStmt", has: { "relation.relpersistence": ["t"] } },
  ),
  statement(
    "unlogged-table",
    "UNLOGGED table not supported*",
    "Unlogged tables",
    "Leave UNLOGGED out: all data is replicated.",
    { node: "CreateStmt", has: { "relation.relpersistence": ["u"] } },
  ),
  statement(
    "create-table-as",
    "unsupported statement: CreateTableAs",
    "CREATE TABLE AS, SELECT INTO and materialized views",
    "CREATE TABLE with its columns, COMMIT, then INSERT … SELECT in batches of less than 3,000 rows.",
    { node: "CreateTableAsStmt" },
    { node: "SelectStmt", has: { intoClause: true } },
  ),
  statement(
    "refresh-materialized-view",
    "unsupported statement: RefreshMatView",
    "Materialized views",
    "Use a view, or a table that a job fills.",
    { node: "RefreshMatViewStmt" },
  ),
  statement("partition", "PARTITION*", "Partitioned tables", "Leave PARTITION BY out: DSQL spreads tables by itself.", {
    node: "CreateStmt",
    has: { partspec: true },
  }),
  statement("inherits", "INHERITS*", "Inheritance of tables", "Write the columns of the parent out.", {
    node: "CreateStmt",
    has: { inhRelations: true },
    lacks: { partbound: true },
  }),
  statement("table-options", "*storage parameter*", "Storage parameters and tablespaces", "Leave them out.", {
    node: "CreateStmt",
    has: { options: true },
  }),
  statement("collation", "*COLLATE*", "COLLATE of a column", "Leave COLLATE out: everything is in collation C.", {
    node: "ColumnDef",
    has: { collClause: true },
  }),
  statement("array-column", "datatype *[] not supported", "Columns of arrays", "Use jsonb, or a table of its own.", {
    node: "ColumnDef",
    has: { "typeName.arrayBounds": true },
  }),
  statement(
    "column-type",
    "datatype * not supported",
    "Types that no column may have",
    COLUMN_TYPE_ADVICE,
    typeOf(...COLUMN_TYPES),
  ),
  {
    ...statement(
      "serial",
      'type "*serial" does not exist',
      "serial, bigserial and smallserial",
      "Use bigint GENERATED BY DEFAULT AS IDENTITY (CACHE 65536), or uuid DEFAULT gen_random_uuid(): both spread writes.",
      typeOf("serial", "serial2", "serial4", "serial8", "bigserial", "smallserial"),
    ),
    sqlState: "42704",
  },
  statement(
    "identity-cache",
    "identity column is not supported without an explicit cache size*",
    "Identity columns without CACHE 1 or CACHE of 65536 and more",
    "Write (CACHE 65536), which is fast and leaves gaps, or (CACHE 1), which is in order and slow.",
    {
      node: "Constraint",
      has: { contype: ["CONSTR_IDENTITY"] },
      cache: { path: "options" },
    },
  ),
  statement(
    "identity-type",
    "datatype * not supported, identity column type must be bigint",
    "Identity columns that are not bigint",
    "Make the column bigint.",
    {
      node: "ColumnDef",
      has: { "constraints.Constraint.contype": ["CONSTR_IDENTITY"] },
      lacks: { "typeName.names.String.sval": ["int8"] },
    },
  ),
  statement(
    "sequence-cache",
    "CREATE SEQUENCE is not supported without an explicit cache size*",
    "Sequences without CACHE 1 or CACHE of 65536 and more",
    "Write CACHE 65536, which is fast and leaves gaps, or CACHE 1.",
    { node: "CreateSeqStmt", cache: { path: "options" } },
  ),
];

const ALTERS: readonly DsqlRule[] = [
  statement(
    "add-column-constraint",
    "ALTER TABLE ADD COLUMN with constraint not supported",
    "ADD COLUMN with DEFAULT, NOT NULL or any other constraint",
    "ADD COLUMN with name and type only, then SET DEFAULT, then UPDATE the old rows in batches of less than 3,000.",
    { node: "AlterTableCmd", has: { subtype: ["AT_AddColumn"], "def.ColumnDef.constraints": true } },
  ),
  statement(
    "alter-column-type",
    "unsupported ALTER TABLE ALTER COLUMN ... SET DATA TYPE statement",
    "Another type for a column",
    "Make a new table, copy the rows in transactions of less than 3,000, then DROP the old one and RENAME.",
    alter("AT_AlterColumnType"),
  ),
  statement(
    "set-not-null",
    "unsupported ALTER TABLE ALTER COLUMN ... SET NOT NULL statement",
    "SET NOT NULL",
    "ADD CONSTRAINT … CHECK (c IS NOT NULL) NOT VALID, then ALTER TABLE ASYNC t VALIDATE CONSTRAINT; or a new table.",
    alter("AT_SetNotNull"),
  ),
  statement(
    "add-constraint",
    "unsupported ALTER TABLE ADD CONSTRAINT statement",
    "ADD CONSTRAINT CHECK or FOREIGN KEY without NOT VALID",
    CONSTRAINT_ADVICE,
    addConstraint(["CONSTR_CHECK", "CONSTR_FOREIGN"], "def.Constraint.skip_validation"),
  ),
  statement(
    "add-key",
    "unsupported ALTER TABLE ADD CONSTRAINT statement",
    "ADD PRIMARY KEY and ADD UNIQUE",
    CONSTRAINT_ADVICE,
    addConstraint(["CONSTR_PRIMARY", "CONSTR_UNIQUE", "CONSTR_EXCLUSION"], "def.Constraint.indexname"),
  ),
  statement(
    "validate-constraint",
    "unsupported ALTER TABLE VALIDATE CONSTRAINT statement",
    "VALIDATE CONSTRAINT without ASYNC",
    "ALTER TABLE ASYNC t VALIDATE CONSTRAINT c, then CALL sys.wait_for_job('job_id').",
    { ...alter("AT_ValidateConstraint"), unlessAsync: true },
  ),
  statement(
    "drop-key-column",
    "cannot drop primary key column *",
    "DROP COLUMN of the primary key",
    "Make a new table, copy the rows in transactions of less than 3,000, then DROP the old one and RENAME.",
  ),
  statement(
    "row-security",
    "unsupported ALTER TABLE *ROW*SECURITY*",
    "Row security",
    "Give each tenant a role and a schema, or let querycop hold the tenant's predicate (policy: tenant).",
    alter("AT_EnableRowSecurity", "AT_DisableRowSecurity", "AT_ForceRowSecurity", "AT_NoForceRowSecurity"),
    { node: "CreatePolicyStmt" },
    { node: "AlterPolicyStmt" },
  ),
  statement(
    "replica-identity",
    "unsupported ALTER TABLE *REPLICA IDENTITY*",
    "REPLICA IDENTITY",
    "Leave it out: there is no logical replication.",
    alter("AT_ReplicaIdentity"),
  ),
];

const INDEXES: readonly DsqlRule[] = [
  statement(
    "index-async",
    "unsupported mode. please use CREATE INDEX ASYNC.",
    "CREATE INDEX without ASYNC",
    "CREATE INDEX ASYNC in a transaction of its own: it answers with a job_id; CALL sys.wait_for_job('job_id') waits for it.",
    { node: "IndexStmt", unlessAsync: true },
  ),
  statement("index-concurrently", "*CONCURRENTLY*", "CREATE INDEX CONCURRENTLY", "Write ASYNC in its place.", {
    node: "IndexStmt",
    has: { concurrent: true },
  }),
  statement("index-method", "*USING*", "Indexes of another method than btree", "Leave USING out.", {
    node: "IndexStmt",
    has: { accessMethod: true },
    lacks: { accessMethod: ["btree"] },
  }),
  statement("index-order", "*ordering*", "ASC, DESC and NULLS FIRST in an index", "Leave them out.", {
    node: "IndexElem",
    has: { ordering: ["SORTBY_ASC", "SORTBY_DESC"] },
  }),
  {
    ...statement("index-columns", "*columns*index*", "More than 8 columns in an index", "Index fewer columns.", {
      node: "IndexStmt",
      moreThan: { indexParams: 8 },
    }),
    ...LIMITS,
    sqlState: "54011",
  },
  {
    ...statement("table-columns", "*columns*", "More than 255 columns in a table", "Divide the table.", {
      node: "CreateStmt",
      moreThan: { "tableElts.ColumnDef": 255 },
    }),
    ...LIMITS,
    sqlState: "54011",
  },
];

const nodes = (...names: readonly string[]): readonly NodePattern[] => names.map((node) => ({ node }));

const CODE: readonly DsqlRule[] = [
  statement(
    "function-language",
    "CREATE FUNCTION with language * not supported",
    "Functions in another language than SQL, and procedures",
    "Write it in LANGUAGE sql, or move it into the application.",
    { node: "CreateFunctionStmt", lacks: { "options.DefElem.arg.String.sval": ["sql"], sql_body: true } },
    { node: "CreateFunctionStmt", has: { is_procedure: true } },
  ),
  statement(
    "do-block",
    "unsupported statement: Do",
    "DO",
    "Run the statements from the application.",
    ...nodes("DoStmt"),
  ),
  statement(
    "trigger",
    "CREATE TRIGGER not supported",
    "Triggers, rules and event triggers",
    "Do in the application what the trigger did, in the same transaction.",
    ...nodes("CreateTrigStmt", "RuleStmt", "CreateEventTrigStmt"),
  ),
  statement(
    "extension",
    "unsupported statement: CreateExtension",
    "Extensions",
    "gen_random_uuid() is built in; what else the extension did belongs into the application.",
    ...nodes("CreateExtensionStmt", "AlterExtensionStmt", "AlterExtensionContentsStmt"),
  ),
  statement(
    "create-type",
    "CREATE TYPE not supported",
    "Types of one's own",
    "For an enum: text with a CHECK, or CREATE DOMAIN … AS text CHECK (VALUE IN (…)).",
    ...nodes("CreateEnumStmt"),
  ),
  statement(
    "composite-type",
    "unsupported statement: CompositeType",
    "Types of one's own: composite",
    "Use columns, or jsonb.",
    ...nodes("CompositeTypeStmt"),
  ),
  statement(
    "range-type",
    "unsupported statement: CreateRange",
    "Types of one's own: ranges",
    "Use two columns.",
    ...nodes("CreateRangeStmt"),
  ),
  statement(
    "alter-type",
    "ALTER TYPE not supported",
    "ALTER TYPE",
    "Change the CHECK of the column or domain.",
    ...nodes("AlterEnumStmt", "AlterTypeStmt"),
  ),
  statement("rename-type", "unsupported object in RENAME statement", "RENAME of a type", "Use a domain.", {
    node: "RenameStmt",
    has: { renameType: ["OBJECT_TYPE"] },
  }),
  statement(
    "drop-object",
    "unsupported object in DROP statement",
    "DROP of what there cannot be",
    "Leave it out.",
    { node: "DropStmt", has: { removeType: ["OBJECT_TYPE", "OBJECT_EXTENSION", "OBJECT_TRIGGER", "OBJECT_RULE"] } },
    { node: "DropStmt", has: { removeType: ["OBJECT_POLICY", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"] } },
  ),
];

const SERVER: readonly DsqlRule[] = [
  statement(
    "truncate",
    "unsupported statement: Truncate",
    "TRUNCATE",
    "DELETE in batches of less than 3,000 rows, or DROP TABLE and CREATE TABLE in two transactions.",
    ...nodes("TruncateStmt"),
  ),
  statement(
    "vacuum",
    "unsupported VACUUM statement",
    "VACUUM, CLUSTER, REINDEX and CHECKPOINT",
    "Leave it out: the service does it.",
    { node: "VacuumStmt", has: { is_vacuumcmd: true } },
    ...nodes("ClusterStmt", "ReindexStmt", "CheckPointStmt"),
  ),
  statement(
    "listen",
    "unsupported statement: *isten",
    "LISTEN and UNLISTEN",
    "Use a queue beside the database, or poll a table.",
    ...nodes("ListenStmt", "UnlistenStmt"),
  ),
  statement(
    "notify",
    "unsupported statement: Notify",
    "NOTIFY",
    "Use a queue beside the database.",
    ...nodes("NotifyStmt"),
  ),
  statement(
    "lock-table",
    "unsupported statement: Lock",
    "LOCK TABLE",
    "Lock rows with SELECT … FOR UPDATE: conflicts are found at COMMIT.",
    ...nodes("LockStmt"),
  ),
  statement(
    "sql-prepare",
    "unsupported statement: *repare*",
    "PREPARE, EXECUTE and DEALLOCATE of SQL",
    "Prepare through the driver: statements of the protocol work.",
    ...nodes("PrepareStmt", "ExecuteStmt"),
  ),
  statement(
    "cursor",
    "unsupported statement: *ursor",
    "DECLARE CURSOR and FETCH",
    "Read by pages: WHERE id > the last one ORDER BY id LIMIT n.",
    ...nodes("DeclareCursorStmt", "FetchStmt"),
  ),
  statement(
    "discard",
    "unsupported statement: Discard",
    "DISCARD",
    "Tell the pool to reset with RESET ALL, or with nothing.",
    ...nodes("DiscardStmt"),
  ),
  statement("load", "unsupported statement: Load", "LOAD", "Leave it out.", ...nodes("LoadStmt")),
  statement("merge", "unsupported statement type: MERGE", "MERGE", "Use INSERT … ON CONFLICT.", ...nodes("MergeStmt")),
  statement(
    "tablesample",
    "TABLESAMPLE clause not supported",
    "TABLESAMPLE",
    "Use WHERE random() < 0.01.",
    ...nodes("RangeTableSample"),
  ),
  statement(
    "locking-clause",
    "locking clauses other than FOR UPDATE/FOR KEY SHARE are not supported",
    "FOR SHARE and FOR NO KEY UPDATE",
    "FOR UPDATE, or FOR KEY SHARE.",
    { node: "LockingClause", has: { strength: ["LCS_FORSHARE", "LCS_FORNOKEYUPDATE"] } },
  ),
  statement(
    "alter-system",
    "unsupported statement: AlterSystem",
    "ALTER SYSTEM",
    "Leave it out: the service sets them.",
    ...nodes("AlterSystemStmt"),
  ),
  statement(
    "create-database",
    "unsupported statement: Createdb",
    "Databases",
    "There is one database, postgres: use schemas.",
    ...nodes("CreatedbStmt", "DropdbStmt"),
  ),
  statement(
    "foreign-data",
    "unsupported statement: CreateForeign*",
    "Foreign tables and servers, publications and subscriptions",
    "Move data outside the database.",
    ...nodes("CreateForeignTableStmt", "CreateForeignServerStmt", "CreateFdwStmt", "ImportForeignSchemaStmt"),
    ...nodes("CreateUserMappingStmt", "CreatePublicationStmt", "CreateSubscriptionStmt"),
  ),
  statement(
    "tablespace",
    "unsupported statement: CreateTableSpace",
    "Tablespaces",
    "Leave it out.",
    ...nodes("CreateTableSpaceStmt", "DropTableSpaceStmt"),
  ),
  statement(
    "copy-file",
    "*COPY*",
    "COPY with a file or program of the server",
    "COPY … FROM STDIN, in transactions of less than 3,000 rows.",
    { node: "CopyStmt", has: { filename: true } },
  ),
];

const TRANSACTIONS: readonly DsqlRule[] = [
  statement(
    "savepoint",
    "unsupported transaction statement: *",
    "SAVEPOINT, RELEASE, ROLLBACK TO and PREPARE TRANSACTION",
    "Switch savepoints off in the driver or framework, and run the whole transaction again where a part of it fails.",
    {
      node: "TransactionStmt",
      has: {
        kind: [
          ...["TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE", "TRANS_STMT_ROLLBACK_TO", "TRANS_STMT_PREPARE"],
          ...["TRANS_STMT_COMMIT_PREPARED", "TRANS_STMT_ROLLBACK_PREPARED"],
        ],
      },
    },
  ),
  statement(
    "isolation-level",
    "Unsupported isolation level: *",
    "Isolation levels other than REPEATABLE READ",
    "Leave the level out, or write REPEATABLE READ; SELECT … FOR UPDATE is the way against write skew.",
    {
      node: "TransactionStmt",
      has: { "options.DefElem.defname": ["transaction_isolation"] },
      lacks: { "options.DefElem.arg.A_Const.sval.sval": ["repeatable read"] },
    },
  ),
  statement(
    "setting",
    'setting configuration parameter "*" not supported',
    "SET of most settings",
    "Leave it out: application_name, client_encoding, DateStyle, extra_float_digits, IntervalStyle, TimeZone, search_path, role, enable_… and dsql.… can be set. For a read-only transaction write BEGIN READ ONLY.",
    {
      node: "VariableSetStmt",
      has: { kind: ["VAR_SET_VALUE", "VAR_SET_DEFAULT", "VAR_SET_CURRENT", "VAR_SET_MULTI"] },
      lacks: { name: SETTINGS },
    },
  ),
  {
    ...statement(
      "values-rows",
      "transaction row limit exceeded",
      "More than 3,000 rows in one statement",
      ROWS_ADVICE,
      {
        node: "InsertStmt",
        moreThan: { "selectStmt.SelectStmt.valuesLists": 3000 },
      },
    ),
    ...LIMITS,
    sqlState: "54000",
  },
];

const ofTransaction = (id: string, sqlState: string, message: string, title: string, instead: string): DsqlRule => ({
  id,
  scope: "transaction",
  title,
  ...PROBED,
  sqlState,
  message,
  instead,
});

const WHOLE_TRANSACTIONS: readonly DsqlRule[] = [
  ofTransaction(
    "multiple-ddl",
    UNSUPPORTED,
    "multiple ddl statements not supported in a transaction",
    "More than one DDL statement in a transaction, or in one text",
    "Send each DDL statement by itself, outside of a transaction, and switch transactional migrations off.",
  ),
  ofTransaction(
    "ddl-and-dml",
    UNSUPPORTED,
    "ddl and dml are not supported in the same transaction",
    "DDL and DML in one transaction",
    "COMMIT between them.",
  ),
  ofTransaction("row-limit", "54000", "transaction row limit exceeded", "More than 3,000 changed rows", ROWS_ADVICE),
  ofTransaction(
    "size-limit",
    "54000",
    "transaction size limit 10mb exceeded*",
    "More than 10 MiB of changes",
    "Divide the work into smaller transactions.",
  ),
  ofTransaction(
    "age-limit",
    "54000",
    "transaction age limit*",
    "A transaction that is open for too long: 5 minutes by the guide",
    "Read in one transaction, work, and write in another.",
  ),
];

const RETRY =
  "Run the whole transaction again, 3 to 5 times, after 50 ms × 2^n and a random part, 5 s at most. Where it happens often, spread the writes: no counters, no ascending keys.";

const CONFLICTS: readonly DsqlRule[] = [
  {
    ...ofTransaction(
      "conflict",
      "40001",
      "change conflicts with another transaction*",
      "Another transaction changed the same rows (OC000)",
      RETRY,
    ),
    scope: "conflict",
  },
  {
    ...ofTransaction(
      "schema-conflict",
      "40001",
      "schema has been updated by another transaction*",
      "Another session changed the schema (OC001)",
      "Run the whole transaction again: the second time it sees the new schema.",
    ),
    scope: "conflict",
  },
];

const lifted = (id: string, until: string, message: string, title: string): DsqlRule => ({
  id,
  scope: "statement",
  title,
  seen: "2026-07-31",
  until,
  source: NEWS,
  sqlState: UNSUPPORTED,
  message,
  instead: "Works since then.",
});

/** What was refused once. */
const LIFTED: readonly DsqlRule[] = [
  lifted("drop-column", "2026-08-03", "unsupported ALTER TABLE DROP COLUMN statement", "DROP COLUMN"),
  lifted("expression-index", "2026-08-13", "*expression*index*", "Indexes on expressions"),
  lifted("for-key-share", "2026-08-25", "locking clause*", "FOR KEY SHARE"),
  lifted("foreign-key", "2026-08-26", "FOREIGN KEY constraint not supported", "Foreign keys"),
  lifted("create-statistics", "2026-08-27", "unsupported statement: CreateStats", "CREATE STATISTICS"),
  lifted("partial-index", "2026-09-15", "WHERE not supported for CREATE INDEX", "Partial indexes"),
];

/** In the order in which an error is looked up: the first whose message fits. */
export const DSQL_RULES: readonly DsqlRule[] = [
  ...TABLES,
  ...ALTERS,
  ...INDEXES,
  ...CODE,
  ...SERVER,
  ...TRANSACTIONS,
  ...WHOLE_TRANSACTIONS,
  ...CONFLICTS,
  ...LIFTED,
];
