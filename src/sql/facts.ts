/**
 * What the analysis of one SQL text says: types only.
 * Everything a policy may want is here with its byte range, so that rules are data over facts and never look at tokens.
 */

/** Whose rules the text will be lexed by. Told by the handshake: `-Vitess`, `MariaDB`, otherwise mysql. */
export type Dialect = "mysql" | "mariadb" | "vitess";

/** The sql_mode bits that change how text is lexed or parsed, with the server's own bit values (`SELECT @@sql_mode+0`). */
export const SQL_MODE = {
  PIPES_AS_CONCAT: 2,
  ANSI_QUOTES: 4,
  IGNORE_SPACE: 8,
  NO_BACKSLASH_ESCAPES: 0x100000,
  HIGH_NOT_PRECEDENCE: 0x20000000,
} as const;

/** Whose SQL a text is. */
export type SqlEngineName = "mysql" | "postgresql";

/**
 * What the session says about how the server will read the text. What is unknown is analysed under every reading. Plain
 * data: it goes to the thread that judges long texts.
 */
export type SqlContext = MysqlContext | PostgresqlContext;

interface AnyContext {
  readonly engine: SqlEngineName;
  /** The schema of names without one. `undefined`: none chosen, or not known; they then match any schema. */
  readonly schema: string | undefined;
}

export interface MysqlContext extends AnyContext {
  readonly engine: "mysql";
  readonly dialect: Dialect | "unknown";
  /** Major * 10000 + minor * 100 + patch, as the server compares version comments: 90704, 80036, 101119. */
  readonly serverVersion: number | undefined;
  /** Bits of SQL_MODE. */
  readonly sqlMode: number | "unknown";
  /** MySQL's name of character_set_client, such as "utf8mb4". */
  readonly charset: string | "unknown";
  /** character_set_connection, to which literals are converted: as `charset` where it is left out. */
  readonly connectionCharset?: string | "unknown";
  /** Whether the server will run more than the first statement of the text. */
  readonly multiStatements: boolean;
}

export interface PostgresqlContext extends AnyContext {
  readonly engine: "postgresql";
  /** server_version_num, such as 150018; undefined when the server has not told it. */
  readonly serverVersion: number | undefined;
  /** Whether the server is Aurora DSQL, with a grammar of its own. */
  readonly isDsql: boolean;
  /** client_encoding as the server reports it, such as "UTF8". */
  readonly clientEncoding: string | "unknown";
  readonly standardConformingStrings: "on" | "off" | "unknown";
  /** search_path, its names decoded and in order. */
  readonly searchPath: readonly string[] | "unknown";
}

/** A value as it was bound; undefined when it is not known. Text and binary values are bytes of the client's charset. */
export type BoundValue = null | number | bigint | string | Uint8Array | undefined;

/** Byte offsets into the analysed text, end exclusive. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** The whole answer: the reading the server is believed to take, and every other one that it might. */
export interface Analysis<Context extends SqlContext = SqlContext> extends Reading {
  /** The analysed bytes themselves, not a copy: valid as long as the caller keeps them unchanged. */
  readonly sql: Uint8Array;
  readonly context: Context;
  /** All readings, the most likely one first (it is `this` in content). A policy takes the worst of them. */
  readonly readings: readonly Reading[];
  /** Why there is more than one reading. */
  readonly ambiguities: readonly Ambiguity[];
}

/** What the readings of one text differ in. */
export type Ambiguity =
  | "ansi-quotes"
  | "no-backslash-escapes"
  | "pipes-as-concat"
  | "charset"
  | "version-comment"
  | "mariadb-comment"
  | "vitess-comment"
  | "dialect"
  | "too-many-readings";

/** One way to read the text. */
export interface Reading {
  /** The server's STATEMENT_DIGEST_TEXT of the text, never truncated. */
  readonly digest: string;
  /** Digests of the SQL that its literals hold and that it prepares or runs, in the order of `statements`. */
  readonly innerDigests: readonly string[];
  /** False when the walker cannot vouch for its facts; `notUnderstood` then says why. */
  readonly understood: boolean;
  readonly notUnderstood: NotUnderstood | undefined;
  /**
   * Every statement, also those inside stored code, prepared literals, EXPLAIN and SET STATEMENT … FOR:
   * `within` tells which. Top-level ones are in the order of execution.
   */
  readonly statements: readonly StatementFacts[];
  readonly findings: readonly Finding[];
  readonly comments: CommentFacts;
  readonly tokenCount: number;
  /** How often the walk looked at something else than the next token; see Walker.spend(). */
  readonly steps: number;
}

/** Why a text is not understood. A closed list, also of a metric's label. */
export const NOT_UNDERSTOOD_REASONS = [
  "unknown-statement",
  "unfinished",
  "unexpected-token",
  "unbalanced-parentheses",
  "lexical-error",
  "budget-exceeded",
  "text-in-doubt",
] as const;

export interface NotUnderstood extends ByteRange {
  readonly reason: (typeof NOT_UNDERSTOOD_REASONS)[number];
}

export interface CommentFacts {
  /** Plain comments of every style; neither hints nor executable ones. */
  readonly count: number;
  readonly executable: number;
  readonly hints: number;
  /** Comments with code of the same statement on both sides. */
  readonly betweenTokens: number;
  readonly nested: number;
}

/** Every kind of statement the servers know, named as the manual names it. `unknown` is never harmless. */
export const STATEMENT_KINDS = [
  "unknown",
  "empty",
  // Reading
  "select",
  "table",
  "values",
  "do",
  "handler-open",
  "handler-read",
  "handler-close",
  "show",
  "describe",
  "explain",
  "help",
  "use",
  // Writing
  "insert",
  "insert-select",
  "replace",
  "replace-select",
  "update",
  "update-multi",
  "delete",
  "delete-multi",
  "load-data",
  "load-xml",
  "import-table",
  "call",
  "truncate",
  // Definition
  "create-table",
  "create-index",
  "create-view",
  "create-schema",
  "create-procedure",
  "create-function",
  "create-loadable-function",
  "create-package",
  "create-library",
  "create-trigger",
  "create-event",
  "create-server",
  "create-sequence",
  "create-tablespace",
  "create-logfile-group",
  "create-resource-group",
  "create-spatial-reference-system",
  "create-masking-policy",
  "alter-table",
  "alter-view",
  "alter-schema",
  "alter-procedure",
  "alter-function",
  "alter-library",
  "alter-event",
  "alter-server",
  "alter-sequence",
  "alter-tablespace",
  "alter-logfile-group",
  "alter-resource-group",
  "alter-instance",
  "drop-table",
  "drop-index",
  "drop-view",
  "drop-schema",
  "drop-procedure",
  "drop-function",
  "drop-package",
  "drop-library",
  "drop-trigger",
  "drop-event",
  "drop-server",
  "drop-sequence",
  "drop-tablespace",
  "drop-logfile-group",
  "drop-resource-group",
  "drop-spatial-reference-system",
  "drop-masking-policy",
  "drop-prepare",
  "rename-table",
  // Accounts
  "create-user",
  "alter-user",
  "drop-user",
  "rename-user",
  "create-role",
  "drop-role",
  "grant",
  "grant-role",
  "revoke",
  "revoke-role",
  "set-password",
  "set-role",
  "set-default-role",
  // Session and transaction
  "set",
  "set-names",
  "set-transaction",
  "set-resource-group",
  "begin",
  "commit",
  "rollback",
  "savepoint",
  "rollback-to-savepoint",
  "release-savepoint",
  "xa-begin",
  "xa-end",
  "xa-prepare",
  "xa-commit",
  "xa-rollback",
  "xa-recover",
  "lock-tables",
  "unlock-tables",
  "lock-instance",
  "unlock-instance",
  "prepare",
  "execute",
  "execute-immediate",
  "get-diagnostics",
  "signal",
  "resignal",
  "compound",
  // Administration
  "analyze-table",
  "check-table",
  "checksum-table",
  "optimize-table",
  "repair-table",
  "cache-index",
  "load-index",
  "flush",
  "reset",
  "reset-persist",
  "reset-binary-logs",
  "reset-replica",
  "purge-logs",
  "kill",
  "shutdown",
  "restart",
  "binlog",
  "clone",
  "backup",
  "change-replication-source",
  "change-replication-filter",
  "start-replica",
  "stop-replica",
  "start-group-replication",
  "stop-group-replication",
  "install-plugin",
  "uninstall-plugin",
  "install-component",
  "uninstall-component",
  // Flow of control inside stored code
  "flow",
  "declare",
  "return",
  // Vitess
  "vitess-vexplain",
  "vitess-migration",
] as const;

/** Kinds that only PostgreSQL has, named by its manual; where it does the same as MySQL the kind is the one above. */
export const POSTGRES_KINDS = [
  // Reading and cursors
  "declare-cursor",
  "fetch",
  "move",
  "close-cursor",
  "copy-out",
  "copy-to-file",
  "copy-to-program",
  // Writing
  "merge",
  "copy-in",
  "copy-from-file",
  "copy-from-program",
  "do-block",
  "refresh-materialized-view",
  // Definition
  "create-materialized-view",
  "alter-materialized-view",
  "drop-materialized-view",
  "alter-index",
  "alter-trigger",
  "create-database",
  "alter-database",
  "drop-database",
  "create-type",
  "alter-type",
  "drop-type",
  "create-domain",
  "alter-domain",
  "drop-domain",
  "create-aggregate",
  "alter-aggregate",
  "drop-aggregate",
  "create-operator",
  "alter-operator",
  "drop-operator",
  "create-cast",
  "drop-cast",
  "create-collation",
  "alter-collation",
  "drop-collation",
  "create-conversion",
  "alter-conversion",
  "drop-conversion",
  "create-statistics",
  "alter-statistics",
  "drop-statistics",
  "create-text-search",
  "alter-text-search",
  "drop-text-search",
  "create-transform",
  "drop-transform",
  "create-access-method",
  "drop-access-method",
  "create-rule",
  "alter-rule",
  "drop-rule",
  "create-policy",
  "alter-policy",
  "drop-policy",
  "create-foreign-table",
  "alter-foreign-table",
  "drop-foreign-table",
  "comment",
  "security-label",
  "alter-depends",
  // Code, other servers, native libraries
  "create-extension",
  "alter-extension",
  "drop-extension",
  "create-language",
  "alter-language",
  "drop-language",
  "load-library",
  "create-event-trigger",
  "alter-event-trigger",
  "drop-event-trigger",
  "create-foreign-data-wrapper",
  "alter-foreign-data-wrapper",
  "drop-foreign-data-wrapper",
  "create-user-mapping",
  "alter-user-mapping",
  "drop-user-mapping",
  "import-foreign-schema",
  "create-publication",
  "alter-publication",
  "drop-publication",
  "create-subscription",
  "alter-subscription",
  "drop-subscription",
  "large-object",
  // Accounts
  "default-privileges",
  "reassign-owned",
  "drop-owned",
  "alter-owner",
  "set-session-authorization",
  "alter-role-set",
  "aws-iam-grant",
  "aws-iam-revoke",
  // Session and transaction
  "reset-setting",
  "set-constraints",
  "discard",
  "deallocate",
  "listen",
  "unlisten",
  "notify",
  "prepare-transaction",
  "commit-prepared",
  "rollback-prepared",
  // Administration
  "alter-system",
  "checkpoint",
  "vacuum",
  "analyze",
  "reindex",
  "cluster",
] as const;

export type MysqlStatementKind = (typeof STATEMENT_KINDS)[number];
export type StatementKind = MysqlStatementKind | (typeof POSTGRES_KINDS)[number];

/** One statement and what it touches. */
export interface StatementFacts extends ByteRange {
  readonly kind: StatementKind;
  /** How the statement got here, and by which statement (index into `statements`). */
  readonly within: StatementOrigin;
  readonly parent: number | undefined;
  /** 0 for the first statement of the packet; nested ones share it with the statement they are in. */
  readonly packetIndex: number;
  readonly tablesRead: readonly TableReference[];
  readonly tablesWritten: readonly TableReference[];
  /** Schemas, routines, events, accounts and whatever else the statement names that is not a table. */
  readonly objects: readonly ObjectReference[];
  /** Names that WITH defines; they are in neither list of tables. */
  readonly cteNames: readonly string[];
  readonly columns: readonly ColumnReference[];
  /**
   * Names of which only their place tells what they name, such as columns in definitions and maintenance: RENAME COLUMN a,
   * FOR COLUMNS (a). `*` for all columns.
   */
  readonly mentions: readonly Mention[];
  readonly functions: readonly FunctionCall[];
  readonly predicates: readonly Predicate[];
  readonly blocks: readonly QueryBlock[];
  /** WHERE of the statement's main block: what decides for UPDATE and DELETE. */
  readonly where: WhereShape;
  readonly limit: Limit | undefined;
  /** The largest IN list, and the number of rows of a VALUES list. Not counts of what runs, only of what is written. */
  readonly inListMax: number;
  readonly valuesRows: number;
  readonly unionBranches: number;
  readonly subqueries: number;
  readonly joins: number;
  readonly subqueryDepthMax: number;
  /** Words of the statement that change its weight. */
  readonly modifiers: readonly StatementModifier[];
  readonly variables: readonly VariableAssignment[];
  /** Values of INSERT and REPLACE rows whose columns are named, and of SET lists. At most ROWS_LISTED_MAX rows are listed. */
  readonly assignments: readonly Assignment[];
  /** Columns that hold something else in a row that is not listed than in the last one that is. */
  readonly unlistedColumns: readonly string[];
  readonly accounts: readonly Account[];
  readonly privileges: readonly string[];
  readonly reach: readonly Reach[];
  readonly dynamic: DynamicSql | undefined;
  /** SHOW's object in upper case ("SHOW GRANTS" → "GRANTS"), FLUSH's or RESET's options, KILL's QUERY or CONNECTION. */
  readonly detail: string | undefined;
}

export type StatementOrigin =
  | "packet"
  | "body"
  | "prepared-literal"
  | "executor-argument"
  | "explained"
  | "explain-analyze"
  | "set-statement"
  | "event-body"
  | "trigger-body"
  /** PostgreSQL: WITH x AS (DELETE …), DECLARE … CURSOR FOR, the actions of a rule. */
  | "cte"
  | "cursor"
  | "rule-body";

export interface TableReference extends ByteRange {
  /** As written and unquoted, else the context's schema. */
  readonly schema: string | undefined;
  readonly isQualified: boolean;
  readonly table: string;
  readonly alias: string | undefined;
  /** Index into `blocks`. */
  readonly block: number;
}

export interface ObjectReference extends ByteRange {
  readonly type:
    | "schema"
    | "procedure"
    | "function"
    | "trigger"
    | "event"
    | "view"
    | "index"
    | "server"
    | "library"
    | "package"
    | "sequence"
    | "tablespace"
    | "prepared-statement"
    | "plugin"
    | "component"
    | "channel"
    | "connection"
    | "extension"
    | "type"
    | "large-object"
    | "setting"
    | "other";
  readonly schema: string | undefined;
  readonly name: string;
}

export type Clause =
  | "select"
  | "from"
  | "on"
  | "where"
  | "group"
  | "having"
  | "window"
  | "order"
  | "limit"
  | "into"
  | "values"
  | "set"
  | "insert-columns"
  | "on-duplicate"
  | "returning"
  | "definition"
  | "other";

export interface Mention extends ByteRange {
  readonly name: string;
}

export interface ColumnReference extends ByteRange {
  /** `*` for a wildcard. */
  readonly name: string;
  /** Table or alias as written. */
  readonly qualifier: string | undefined;
  /** The table, when the qualifier or the block's only table tells it. */
  readonly table: string | undefined;
  readonly clause: Clause;
  readonly block: number;
}

export interface FunctionCall extends ByteRange {
  /** Upper case in MySQL; in PostgreSQL too where the server's name is lower case, but for casts and operators. */
  readonly name: string;
  readonly schema: string | undefined;
  /**
   * `spaced`: something stands between the name and its parenthesis; both may decide whether the name is a built-in.
   * PostgreSQL: `attribute`: a name behind a point, which is a column or, where there is none, a function of the row;
   * `cast`, `operator`: one that is not the server's own, behind which there is a function that nothing names.
   */
  readonly spelling: "plain" | "spaced" | "quoted" | "attribute" | "cast" | "operator";
  readonly clause: Clause;
  readonly block: number;
  readonly arguments: number;
  readonly hasSubquery: boolean;
  /** The first argument when it is one literal: text of a string, digits of a number. */
  readonly firstLiteral: string | undefined;
}

export type PredicateOperator =
  | "="
  | "<=>"
  | "<>"
  | "<"
  | "<="
  | ">"
  | ">="
  | "like"
  | "not-like"
  | "regexp"
  | "in"
  | "not-in"
  | "between"
  | "is-null"
  | "is-not-null"
  | "is";

export interface Predicate extends ByteRange {
  readonly column: string;
  readonly qualifier: string | undefined;
  /** The schema before the qualifier. */
  readonly schema: string | undefined;
  readonly table: string | undefined;
  readonly operator: PredicateOperator;
  /** What the column is compared with. A verdict that depends on `text` must not be cached under the cache key. */
  readonly operand: Operand;
  readonly clause: "where" | "on" | "having" | "other";
  readonly block: number;
  /** True when no row passes without it: a top-level AND term of WHERE or of an inner join's ON. */
  readonly isConjunct: boolean;
  /** Whose column it is, and whose the operand, where the text leaves no doubt. Told for top-level `=` terms only. */
  readonly ofColumn: PlacedColumn | undefined;
  readonly ofOperand: PlacedColumn | undefined;
}

/** A column of one table of the FROM clause: that very mention of the table, not another one of the same name. */
export interface PlacedColumn {
  readonly table: TableReference;
  readonly column: string;
  /** No row of this table comes out of the block without the predicate. */
  readonly isHeld: boolean;
}

/** Rows of VALUES whose values are listed one by one. */
export const ROWS_LISTED_MAX = 100;

/** A column and what it is to hold. */
export interface Assignment extends ByteRange {
  readonly column: string;
  readonly qualifier: string | undefined;
  readonly clause: "values" | "set" | "on-duplicate";
  readonly operand: Operand;
}

export interface Operand {
  readonly type:
    | "number"
    | "string"
    | "hex"
    | "bit"
    | "null"
    | "parameter"
    | "variable"
    | "column"
    | "list"
    | "expression";
  /** Unquoted text of a literal; `[qualifier.]name` of a column; 0-based position of a parameter in the whole text. */
  readonly text: string | undefined;
  /** The parts of a column's name. */
  readonly name?: ColumnName;
  /** A charset introducer stands before the string, so that its bytes may mean another text. */
  readonly isIntroduced?: true;
}

/** The parts of a column's name as written, without quotes. */
export interface ColumnName {
  readonly schema: string | undefined;
  readonly qualifier: string | undefined;
  readonly name: string;
}

/** One SELECT (or the whole of an UPDATE or DELETE). */
export interface QueryBlock extends ByteRange {
  readonly parent: number | undefined;
  readonly role: "main" | "union-branch" | "subquery" | "derived-table" | "cte" | "view";
  readonly where: WhereShape;
  readonly limit: Limit | undefined;
  readonly joins: number;
  /** Joins or commas that no ON, USING, NATURAL or WHERE term relates. */
  readonly joinsWithoutCondition: number;
  readonly hasWildcard: boolean;
  readonly hasGroupBy: boolean;
  readonly hasFrom: boolean;
  readonly locking: "none" | "share" | "update";
  /** Names of what FROM lists beside tables: derived tables, CTEs, table functions. `undefined` for one without a name. */
  readonly otherSources: readonly (string | undefined)[];
}

/**
 * `constant`: the same whatever the row, and perhaps true; `never`: false or NULL for certain, so that it leaves no row;
 * `self-comparison`: only `x = x`, `x LIKE '%'` and the like.
 */
export type WhereShape = "absent" | "present" | "constant" | "never" | "self-comparison";

export interface Limit extends ByteRange {
  /** `undefined`: a parameter, a variable, or more than 2^53. */
  readonly rows: number | undefined;
  readonly offset: number | undefined;
}

export type StatementModifier =
  | "temporary"
  | "if-exists"
  | "if-not-exists"
  | "or-replace"
  | "ignore"
  | "low-priority"
  | "quick"
  | "global"
  | "session"
  | "local"
  | "drops-column"
  | "drops-partition"
  | "drops-rows"
  | "adds-index"
  | "drops-index"
  | "renames-table"
  | "adds-only"
  | "analyze"
  | "for-update"
  | "for-share"
  | "into-variable"
  | "as-select"
  | "like-table"
  | "merge-tables"
  | "for-columns"
  | "with-grant-option"
  | "all-privileges"
  | "on-everything"
  /** Of an account: DEFAULT ROLE. */
  | "default-role"
  | "read-only"
  | "read-write"
  | "with-read-lock"
  | "for-export"
  | "on-duplicate-key-update"
  | "all-rows"
  | "returning"
  | "sql-security-definer"
  | "mysql-native-password"
  | "foreign-engine";

export interface VariableAssignment extends ByteRange {
  readonly scope:
    | "user"
    | "local"
    | "session"
    | "global"
    | "persist"
    | "persist-only"
    | "hint"
    | "statement"
    | "unspecified";
  /** Lower case for system variables. */
  readonly name: string;
  readonly value: {
    readonly type: "number" | "string" | "keyword" | "default" | "expression";
    readonly text: string | undefined;
  };
}

export interface Account extends ByteRange {
  readonly user: string;
  readonly host: string | undefined;
}

/**
 * What leads out of the tables: files of the server or the client, object stores, other servers, native code. s3-read is one
 * object, s3-read-prefix all that begin so, s3-read-list whatever else the server makes of the text.
 */
export interface Reach extends ByteRange {
  readonly type:
    | "outfile"
    | "dumpfile"
    | "load-data"
    | "load-data-local"
    | "load-xml"
    | "load-xml-local"
    | "load-file"
    | "import-table"
    | "s3-read"
    | "s3-read-prefix"
    | "s3-read-list"
    | "s3-write"
    | "lambda"
    | "remote-service"
    | "remote-server"
    | "native-code"
    | "plugin"
    | "component"
    | "data-directory"
    | "clone"
    | "binlog"
    | "copy-file"
    | "copy-program"
    | "server-file"
    | "large-object"
    | "subscription"
    | "extension";
  /** Path, URI or library when it is a literal. */
  readonly target: string | undefined;
}

export interface DynamicSql extends ByteRange {
  readonly type: "prepare" | "execute" | "execute-immediate" | "executor-procedure";
  readonly name: string | undefined;
  readonly source: "literal" | "user-variable" | "expression" | "named";
  /** The literal's text, or the variable's name. The literal's own statements are in `statements`. */
  readonly text: string | undefined;
  /** The user variables of USING, in order; `undefined` for what is not one variable. */
  readonly using: readonly (string | undefined)[];
}

/** One thing seen in the text, named for what was seen. Rules give it a weight. */
export interface Finding extends ByteRange {
  readonly what: FindingName;
  /** Index into `statements`, `undefined` for what belongs to the text as a whole. */
  readonly statement: number | undefined;
  /** How often, how many, or how much (seconds of SLEEP, bytes of a literal); see FINDING_NAMES. */
  readonly count: number;
  /** The function, variable, table or words concerned; never a string literal's text. */
  readonly detail: string | undefined;
}

/** Every finding there is, and what it tells; behind a colon an example, behind a semicolon what its count means. */
export const FINDING_NAMES = {
  // Conditions that no row can change
  "or-constant-comparison": "OR, || or XOR with a comparison of constants: OR 1=1",
  "or-constant": "OR, || or XOR with a bare constant: OR 1",
  "or-self-comparison": "OR, || or XOR with a comparison of a column with itself: OR id=id",
  "or-constant-predicate": "OR with LIKE, BETWEEN, IN, IS or a function over constants only: OR 'a' LIKE 'a'",
  "and-constant-comparison": "AND with a comparison of constants: AND 7=7",
  "and-constant": "AND with a bare constant",
  "and-constant-predicate": "AND with a predicate or function over constants only",
  "and-self-comparison": "AND with a comparison of a column with itself",
  "having-constant": "HAVING over constants only",
  "case-constant": "CASE WHEN or IF over constants only",
  "constant-comparison": "a comparison of constants elsewhere (select list, ORDER BY, argument)",
  "where-first-constant": "the first WHERE term is constant and more terms follow, as query builders write it",
  "string-operator":
    "a string literal joined by an arithmetic, bit or comparison operator to what was compared with it: name=''=''",
  "adjacent-strings": "two string literals side by side outside of a select list: name = '' ''",
  "constant-arithmetic": "a column compared with arithmetic over literals only: id = 1*56",
  "signed-term": "AND or OR followed by a signed value that is no comparison: AND-x, OR~x",
  "session-condition": "a condition about the session, not the row: AND current_user='x'",
  // Added queries
  "union-constants": "a UNION branch of constants only; count = columns",
  "union-null-padding": "a UNION branch padded with NULL or numbers; count = such columns",
  "union-after-literal": "UNION directly after a literal",
  "union-branch": "a UNION branch that reads another table than the branches before it",
  "union-numbered": "a UNION that numbers columns and then reads all of a table: SELECT 1,2 UNION SELECT * FROM …",
  "concat-hex-markers": "CONCAT with two or more hex or CHAR() literals; count = those",
  "stacked-statement": "a statement after the first one of the packet",
  "order-by-number": "ORDER BY or GROUP BY number; count = the number",
  "order-by-beyond": "ORDER BY or GROUP BY number of a column that the select list does not have; count = the number",
  "order-by-constant": "ORDER BY or GROUP BY with a constant that is no column number",
  "order-by-subquery": "ORDER BY or GROUP BY with a subquery or a condition",
  // Time and errors as a channel
  sleep: "SLEEP() that is the whole select list; count = seconds",
  "sleep-nested": "SLEEP() inside a condition, subquery or DML; count = seconds",
  benchmark: "BENCHMARK(); count = rounds",
  "get-lock": "GET_LOCK() that is the whole select list",
  "get-lock-nested": "GET_LOCK() inside a condition or subquery",
  "schema-cross-join": "three or more catalog tables joined without condition; count = tables",
  "error-function": "a function that puts its argument in an error message, with a subquery or session value inside",
  "error-function-plain": "a function that puts its argument in an error message, with plain arguments",
  "floor-rand": "FLOOR(RAND(0)*2), the duplicate-key error trick",
  "procedure-analyse": "PROCEDURE ANALYSE",
  "exp-overflow": "EXP, POW or bit inversion of a subquery: an overflow as a channel",
  "blind-substring": "ASCII, ORD, SUBSTR, MID, HEX … of a subquery or session value in a condition",
  "row-picked": "LIMIT n,1 without ORDER BY in a subquery or a UNION branch: one row after the other",
  "blind-code": "ASCII, ORD, HEX or BIN of characters cut out of a column, where rows are chosen",
  "blind-if": "IF, CASE, ELT, MAKE_SET, IFNULL of a condition over a subquery or constants",
  "regexp-subquery": "RLIKE or REGEXP with a subquery",
  "and-subquery": "AND or OR followed by a bare subquery or EXISTS over other tables",
  "subquery-without-table": "a subquery in a condition or value that reads no table",
  "comparison-subquery": "a scalar subquery compared with a constant",
  // Disguise
  "trailing-comment": "a -- or # comment ends the text and so cuts off what followed",
  "trailing-comment-cuts-quote": "the trailing comment holds an unpaired quote or parenthesis",
  "executable-comment": "an executable comment inside a statement",
  "executable-comment-whole": "the whole statement is one executable comment, as dump tools write it",
  "executable-comment-option": "an executable comment that holds only an option word, as dump tools write it",
  "comment-between-tokens": "plain comments between tokens where blanks would do; count = comments",
  "comment-nested": "a comment inside a comment",
  "comment-unterminated": "a comment without end",
  "number-glued-to-word": "a number directly followed by a word: 1union",
  "nul-byte": "a NUL outside of literals and comments",
  "char-call": "CHAR() with three or more codes; count = codes",
  "hex-literal-long": "a hex literal of more than 16 bytes; count = bytes",
  "hex-literal-text": "a hex literal that decodes to SQL or markup",
  "hex-pattern": "LIKE or REGEXP with a pattern spelled in hex",
  "odbc-escape": "{x …}",
  "number-swallowed": "a number such as 1.e that the server drops without a token",
  "odd-whitespace": "vertical tab or form feed as blank",
  "readings-differ": "the text means something else under another sql_mode, charset, version or dialect",
  "unterminated-string": "a string or quoted identifier without end",
  "unknown-character": "a byte that starts no token",
  "unbalanced-parentheses": "parentheses do not match",
  "budget-exceeded": "too many tokens, too deep, too long or too many readings; count = what was measured",
  "not-understood": "a statement the walker does not know",
  "second-opinion": "a second parser sees something in the statement that the walk does not; count = how much",
  "literal-looks-like-sql": "a string literal that itself lexes as an attack",
  "identifier-not-ascii": "an identifier with bytes above 0x7f that is not quoted",
  // Looking around
  "catalog-read": "information_schema, performance_schema or sys read by a plain SELECT or SHOW",
  "catalog-read-nested": "information_schema, performance_schema or sys read inside UNION, a subquery or DML",
  "mysql-schema-read": "a table of the schema mysql",
  "mysql-account-read": "mysql.user and other tables with account secrets",
  "system-variable-nested": "@@variable in a condition, UNION or subquery",
  "session-function-nested": "VERSION(), USER() or the like in a condition, UNION or subquery",
  // Reach
  "into-outfile": "INTO OUTFILE or DUMPFILE",
  "into-s3": "INTO OUTFILE S3",
  "load-file": "LOAD_FILE()",
  "load-data": "LOAD DATA or XML INFILE",
  "load-data-local": "LOAD DATA or XML LOCAL INFILE",
  "load-from-s3": "LOAD DATA or XML FROM S3",
  "aws-function": "a function that leaves Aurora: lambda_sync, aws_comprehend_…",
  "aws-procedure": "CALL mysql.lambda_async, mysql.rds_set_external_source and the like",
  "rds-procedure": "another mysql.rds_* procedure",
  "sys-procedure": "CALL sys.*",
  "native-code": "a loadable function, plugin or component, or a function known from such libraries",
  "remote-server": "CREATE SERVER, ENGINE=FEDERATED, CONNECT or SPIDER",
  // PostgreSQL: files, programs and other servers
  "server-program": "COPY with a program of the server",
  "server-file-read": "a file of the server read or listed: COPY FROM a file, pg_read_file(), pg_ls_dir()",
  "server-file-write": "a file of the server written: COPY TO a file, lo_export()",
  "large-object": "a function of large objects; count = 1 where it writes",
  "other-server": "dblink(), a foreign server, a subscription",
  "server-control": "a function that steers the server: pg_reload_conf(), pg_promote(), pg_switch_wal()",
  "backend-signal": "pg_terminate_backend(), pg_cancel_backend()",
  "advisory-lock": "a lock that is not of a table: pg_advisory_lock()",
  "notify-channel": "NOTIFY or pg_notify()",
  "catalog-secrets": "a table or view of the catalog with passwords, addresses or other people's statements",
  "session-identity": "SET ROLE, SET SESSION AUTHORIZATION or the same by set_config()",
  "set-reading-setting": "a setting by which the server reads text otherwise: standard_conforming_strings",
  "dynamic-setting": "set_config() of a name or value that is no literal",
  "write-in-cte": "rows changed inside WITH",
  "schema-change-hides": "a search_path that puts another schema before the server's own names",
  // Dynamic SQL
  "prepare-variable": "PREPARE or EXECUTE IMMEDIATE from something that is not one literal",
  "prepare-literal": "PREPARE or EXECUTE IMMEDIATE from a literal, which is analysed",
  "unknown-routine": "CALL of, or a call to, a routine whose body is not in the text",
  // Settings
  "set-global": "SET GLOBAL",
  "set-persist": "SET PERSIST or PERSIST_ONLY",
  "set-lexing-mode": "sql_mode set so that quotes or backslashes lex otherwise, or to something not literal",
  "set-charset": "a client charset whose bytes can hide quotes and backslashes",
  "set-guarded-variable": "a variable that opens files, logging or replication, or turns a safety off",
  "hint-set-var": "SET_VAR() in an optimizer hint",
  // Writes
  "write-without-where": "UPDATE or DELETE without WHERE",
  "write-where-constant": "UPDATE or DELETE whose WHERE is constant",
  "write-where-self-comparison": "UPDATE or DELETE whose WHERE leaves no row out, such as id IN (id)",
  "write-upsert-self":
    "INSERT … SELECT … ON DUPLICATE KEY UPDATE or REPLACE … SELECT of the table's own rows, none left out",
  "write-upsert-all": "the same of all rows of another table",
  "write-many-tables": "UPDATE or DELETE of several tables",
  // Hygiene
  "select-unbounded": "SELECT from a table with neither WHERE, LIMIT nor aggregation",
  "select-wildcard": "SELECT *",
  "like-leading-wildcard": "LIKE '%…' or '_…'",
  "order-by-rand": "ORDER BY RAND()",
  "join-without-condition": "tables joined without condition; count = joins",
  "joins-many": "more than 8 joins; count = joins",
  "in-list-long": "an IN list of more than 1,000 items; count = items",
  "offset-large": "OFFSET above 10,000; count = the offset",
  "lock-without-where": "FOR UPDATE without WHERE",
} as const satisfies Record<string, string>;

export type FindingName = keyof typeof FINDING_NAMES;

/** What the finding tells, without the example, which is not what the text at hand says. */
export function findingText(what: FindingName): string {
  return FINDING_TEXTS.get(what) as string;
}

const FINDING_TEXTS: ReadonlyMap<FindingName, string> = new Map(
  Object.entries(FINDING_NAMES).map(([what, text]) => [what as FindingName, withoutExample(text)]),
);

function withoutExample(text: string): string {
  const end = Math.min(...[": ", "; "].map((mark) => (text.includes(mark) ? text.indexOf(mark) : text.length)));
  return text.slice(0, end);
}
