/** The scratch schemas that statements run on when real servers tell what they do: see effects-server.ts. */
import type { ServerKind } from "./accounts.ts";

export const SCHEMA = "qc1";
export const OTHER_SCHEMA = "qc2";
export const PROBER = { user: "qcprober", password: "qcprober:Passw0rd" };

/** What uses of a view, a routine or a table with triggers make the server touch beside it. */
export const CLOSURE: ReadonlyMap<string, readonly string[]> = new Map([
  ["qc1.v1", ["qc1.t1"]],
  ["qc1.v2", ["qc1.t1", "qc1.t2"]],
  ["qc2.v1", ["qc1.t1"]],
  ["qc1.t3", ["qc1.log1"]],
  ["qc1.parent1", ["qc1.child1"]],
  ["qc1.child1", ["qc1.parent1"]],
  ["qc1.f1", ["qc1.t2"]],
  ["qc1.f2", ["qc1.log1"]],
  ["qc1.p1", ["qc1.t1"]],
  ["qc1.p2", ["qc1.t2", "qc1.log1", "qc1.f2"]],
]);

const COLUMNS = "(a INT NOT NULL PRIMARY KEY, b INT, c VARCHAR(40))";
const ROWS = "VALUES (1, 10, 'x'), (2, 20, 'y')";

/** Ordinary tables that are named like words of the language, which names may be. */
const WORD_TABLES = ["offset", "value", "status", "begin", "end", "user", "any", "date", "select", "order"];

function tables(kind: ServerKind): string[] {
  const plain = ["qc1.t1", "qc1.t2", "qc1.t3", "qc1.log1", "qc2.t1", "qc2.t4"];
  const quoted = WORD_TABLES.map((name) => `qc1.\`${name}\``);
  return [
    ...[...plain, ...quoted].flatMap((name) => [`CREATE TABLE ${name} ${COLUMNS}`, `INSERT INTO ${name} ${ROWS}`]),
    `CREATE TABLE qc1.m1 ${COLUMNS} ENGINE=MyISAM`,
    `INSERT INTO qc1.m1 ${ROWS}`,
    `CREATE TABLE qc1.part1 ${COLUMNS} PARTITION BY HASH (a) PARTITIONS 3`,
    `CREATE TABLE qc1.part2 ${COLUMNS} PARTITION BY RANGE (a) (PARTITION pa VALUES LESS THAN (100), PARTITION pb VALUES LESS THAN (200))`,
    "CREATE TABLE qc1.parent1 (a INT NOT NULL PRIMARY KEY, b INT, c VARCHAR(40))",
    "CREATE TABLE qc1.child1 (a INT NOT NULL PRIMARY KEY, b INT, c VARCHAR(40), FOREIGN KEY (b) REFERENCES parent1 (a) ON DELETE CASCADE)",
    ...(kind === "mysql"
      ? []
      : [
          "CREATE SEQUENCE qc1.s1",
          "CREATE TABLE qc1.h1 (a INT NOT NULL PRIMARY KEY, b INT, c VARCHAR(40)) WITH SYSTEM VERSIONING",
        ]),
  ];
}

function programs(): string[] {
  return [
    "CREATE VIEW qc1.v1 AS SELECT a, b, c FROM qc1.t1",
    "CREATE VIEW qc1.v2 AS SELECT x.a, y.b, y.c FROM qc1.t1 x JOIN qc1.t2 y ON x.a = y.a",
    "CREATE VIEW qc2.v1 AS SELECT a, b, c FROM qc1.t1",
    "CREATE TRIGGER qc1.tr1 AFTER INSERT ON qc1.t3 FOR EACH ROW REPLACE INTO qc1.log1 VALUES (NEW.a, 0, '')",
    "CREATE FUNCTION qc1.f1(x INT) RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM qc1.t2)",
    "CREATE FUNCTION qc1.f2() RETURNS INT MODIFIES SQL DATA BEGIN REPLACE INTO qc1.log1 VALUES (9, 9, 'f2'); RETURN 1; END",
    "CREATE PROCEDURE qc1.p1() SELECT * FROM qc1.t1",
    "CREATE PROCEDURE qc1.p2(IN x INT, OUT y INT) BEGIN UPDATE qc1.t2 SET b = x; SET y = qc1.f2(); END",
    "CREATE EVENT qc1.e1 ON SCHEDULE EVERY 1 YEAR DISABLE DO DELETE FROM qc1.log1",
  ];
}

/** Statements that leave nothing of what earlier texts did in the scratch schemas and with their accounts. */
export function setupStatements(kind: ServerKind): string[] {
  const password = `'${PROBER.password}'`;
  const accounts = ["qcu1", "qcu2", "qcr1", PROBER.user];
  return [
    ...[SCHEMA, OTHER_SCHEMA, "qc3"].map((name) => `DROP SCHEMA IF EXISTS ${name}`),
    ...accounts.map((name) => `DROP USER IF EXISTS ${name}`),
    ...(kind === "mysql" ? [] : ["DROP ROLE IF EXISTS qcr1"]),
    "DROP SERVER IF EXISTS qcs1",
    `CREATE SCHEMA ${SCHEMA}`,
    `CREATE SCHEMA ${OTHER_SCHEMA}`,
    ...tables(kind),
    ...programs(),
    `CREATE USER qcu1 IDENTIFIED BY ${password}`,
    `CREATE USER qcu2 IDENTIFIED BY ${password}`,
    "CREATE ROLE qcr1",
    `CREATE USER ${PROBER.user} IDENTIFIED BY ${password}`,
    `GRANT ALL ON *.* TO ${PROBER.user} WITH GRANT OPTION`,
  ];
}

const VIEWED = "NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')";

/**
 * What there is on the server, as rows of what, name and a value that changes when the thing does. The first part of a
 * name is its schema, where it has one.
 */
export function stateQueries(kind: ServerKind): string[] {
  const isMysql = kind === "mysql";
  const rows = (what: string, name: string, value: string, from: string): string =>
    `SELECT '${what}', ${name}, SHA2(CONCAT_WS('|', ${value}), 224) FROM ${from}`;
  const of = (table: string, schema: string): string => `information_schema.${table} WHERE ${schema} ${VIEWED}`;
  const perTable = "GROUP BY TABLE_SCHEMA, TABLE_NAME";
  return [
    rows("schema", "SCHEMA_NAME", "DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME", of("SCHEMATA", "SCHEMA_NAME")),
    rows(
      "table",
      "CONCAT(TABLE_SCHEMA, '.', TABLE_NAME)",
      "TABLE_TYPE, ENGINE, ROW_FORMAT, CREATE_OPTIONS, TABLE_COMMENT, TABLE_COLLATION",
      of("TABLES", "TABLE_SCHEMA"),
    ),
    rows(
      "table",
      "CONCAT(TABLE_SCHEMA, '.', TABLE_NAME)",
      `'columns', GROUP_CONCAT(CONCAT_WS(',', ORDINAL_POSITION, COLUMN_NAME, COLUMN_TYPE, COLUMN_DEFAULT, IS_NULLABLE, EXTRA, COLUMN_COMMENT) ORDER BY ORDINAL_POSITION)`,
      `${of("COLUMNS", "TABLE_SCHEMA")} ${perTable}`,
    ),
    rows(
      "table",
      "CONCAT(TABLE_SCHEMA, '.', TABLE_NAME)",
      "'indexes', GROUP_CONCAT(CONCAT_WS(',', INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, NON_UNIQUE) ORDER BY 1)",
      `${of("STATISTICS", "TABLE_SCHEMA")} ${perTable}`,
    ),
    rows("view", "CONCAT(TABLE_SCHEMA, '.', TABLE_NAME)", "VIEW_DEFINITION, DEFINER", of("VIEWS", "TABLE_SCHEMA")),
    rows(
      "routine",
      "CONCAT(ROUTINE_SCHEMA, '.', ROUTINE_NAME)",
      "ROUTINE_DEFINITION, SQL_DATA_ACCESS, SECURITY_TYPE, ROUTINE_COMMENT",
      of("ROUTINES", "ROUTINE_SCHEMA"),
    ),
    rows("trigger", "CONCAT(TRIGGER_SCHEMA, '.', TRIGGER_NAME)", "ACTION_STATEMENT", of("TRIGGERS", "TRIGGER_SCHEMA")),
    rows(
      "event",
      "CONCAT(EVENT_SCHEMA, '.', EVENT_NAME)",
      "EVENT_DEFINITION, STATUS, INTERVAL_VALUE, EXECUTE_AT, EVENT_COMMENT",
      of("EVENTS", "EVENT_SCHEMA"),
    ),
    rows(
      "account",
      "CONCAT(User, '@', Host)",
      isMysql ? MYSQL_ACCOUNT : "Priv",
      isMysql ? "mysql.user" : "mysql.global_priv",
    ),
    ...(isMysql ? MYSQL_GRANTS : MARIADB_GRANTS).map(([table, user, host]) =>
      rows(
        "grant",
        `CONCAT(${user}, '@', ${host})`,
        `'${table}', COUNT(*)`,
        `mysql.${table} GROUP BY ${user}, ${host}`,
      ),
    ),
    rows(
      "grant",
      "CONCAT(User, '@', Host)",
      "'db', GROUP_CONCAT(CONCAT(Db, Select_priv, Insert_priv, Update_priv, Delete_priv, Create_priv, Drop_priv, Grant_priv, Execute_priv) ORDER BY Db)",
      "mysql.db GROUP BY User, Host",
    ),
    rows(
      "grant",
      "CONCAT(User, '@', Host)",
      "'tables', GROUP_CONCAT(CONCAT(Db, Table_name, Table_priv, Column_priv) ORDER BY Db, Table_name)",
      "mysql.tables_priv GROUP BY User, Host",
    ),
    rows(
      "grant",
      "CONCAT(User, '@', Host)",
      "'procs', GROUP_CONCAT(CONCAT(Db, Routine_name, Proc_priv) ORDER BY Db, Routine_name)",
      "mysql.procs_priv GROUP BY User, Host",
    ),
    rows("server", "Server_name", "Host, Db, Username, Wrapper", "mysql.servers"),
    rows("native", "name", "dl", "mysql.func"),
    ...(isMysql
      ? [
          rows("native", "component_urn", "component_id", "mysql.component"),
          rows("persisted", "VARIABLE_NAME", "VARIABLE_VALUE", "performance_schema.persisted_variables"),
          rows(
            "resource-group",
            "RESOURCE_GROUP_NAME",
            "RESOURCE_GROUP_ENABLED, VCPU_IDS, THREAD_PRIORITY",
            "information_schema.RESOURCE_GROUPS",
          ),
          rows(
            "srs",
            "SRS_ID",
            "SRS_NAME",
            "information_schema.ST_SPATIAL_REFERENCE_SYSTEMS WHERE SRS_ID BETWEEN 1 AND 1000",
          ),
          rows(
            "tablespace",
            "NAME",
            "STATE, ENCRYPTION, FILE_SIZE",
            "information_schema.INNODB_TABLESPACES WHERE SPACE_TYPE <> 'Single'",
          ),
        ]
      : []),
  ];
}

const MYSQL_ACCOUNT =
  "authentication_string, plugin, account_locked, password_expired, Select_priv, Insert_priv, Update_priv, Delete_priv, Create_priv, Drop_priv, Reload_priv, Shutdown_priv, Process_priv, File_priv, Grant_priv, Super_priv, Execute_priv, Create_user_priv, ssl_type, max_questions, max_connections, password_lifetime, User_attributes";

type GrantTable = readonly [table: string, user: string, host: string];
const MYSQL_GRANTS: readonly GrantTable[] = [
  ["global_grants", "USER", "HOST"],
  ["role_edges", "TO_USER", "TO_HOST"],
  ["default_roles", "USER", "HOST"],
  ["proxies_priv", "User", "Host"],
];
const MARIADB_GRANTS: readonly GrantTable[] = [
  ["roles_mapping", "User", "Host"],
  ["proxies_priv", "User", "Host"],
];
