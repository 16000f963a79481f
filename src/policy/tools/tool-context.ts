/** What the offline tools assume about session and subject when nobody says otherwise. */

import { type Analysis, type MysqlContext, type PostgresqlContext, SQL_MODE } from "../../sql/facts.ts";
import { analyze } from "../../sql/mysql/analyze.ts";
import { analyzeDigest } from "../../sql/mysql/digest-text.ts";
import { analyze as analyzePostgres } from "../../sql/postgres/analyze.ts";
import { analyzeDigest as analyzePostgresDigest } from "../../sql/postgres/digest-text.ts";
import { parseSearchPath } from "../../sql/postgres/walk/search-path.ts";
import type { Subject } from "../policy.ts";
import type { AuditedStatement } from "./audit-texts.ts";

/** The engines by the names that backend.engine has for them. */
export const TOOL_ENGINES = ["mysql", "postgresql", "dsql"] as const;

export type ToolEngine = (typeof TOOL_ENGINES)[number];

export function isToolEngine(name: unknown): name is ToolEngine {
  return (TOOL_ENGINES as readonly unknown[]).includes(name);
}

/** The parts of a session that explain, test and replay can be told. */
export interface ToolSession {
  readonly user?: string | undefined;
  readonly role?: string | undefined;
  readonly schema?: string | undefined;
  readonly clientAddress?: string | undefined;
  readonly listener?: string | undefined;
  /** Names as in `SET sql_mode`, or the server's number. */
  readonly sqlMode?: string | number | undefined;
  readonly dialect?: string | undefined;
  /** search_path as PostgreSQL reports it. */
  readonly searchPath?: string | undefined;
  readonly backendRole?: string | undefined;
}

/** The dialects that a tool may be told; without one it is the first. */
export const TOOL_DIALECTS = ["mysql", "mariadb", "vitess", "postgresql", "dsql"] as const;

type ToolDialect = (typeof TOOL_DIALECTS)[number];

export function isToolDialect(name: string): name is ToolDialect {
  return (TOOL_DIALECTS as readonly string[]).includes(name);
}

/** A current server that has all the version comments up to 8.4 on. */
const TOOL_SERVER_VERSION = 80400;

/** The whole packet runs, as for a client with multi-statements: the worst case of what the text can do. */
export function contextFor(session: ToolSession): MysqlContext {
  const { dialect: name = "mysql" } = session;
  const dialect = name === "mariadb" || name === "vitess" ? name : "mysql";
  return {
    engine: "mysql",
    dialect,
    serverVersion: dialect === "mariadb" ? 101119 : TOOL_SERVER_VERSION,
    sqlMode: parseSqlMode(session.sqlMode),
    charset: "utf8mb4",
    schema: session.schema,
    multiStatements: true,
  };
}

/** A session of a server that has strings as the standard has them, and a search_path that is known only where one is given. */
function postgresContextFor({ dialect, schema, searchPath }: ToolSession): PostgresqlContext {
  const path = searchPath === undefined ? undefined : parseSearchPath(searchPath);
  return {
    engine: "postgresql",
    schema: undefined,
    serverVersion: undefined,
    isDsql: dialect === "dsql",
    clientEncoding: "UTF8",
    standardConformingStrings: "on",
    searchPath: path ?? (schema === undefined ? "unknown" : [schema]),
  };
}

/** Whether its SQL is PostgreSQL's, whose parser must be loaded before analyzeAs(). */
export const isOfPostgres = ({ dialect }: ToolSession): boolean => dialect === "postgresql" || dialect === "dsql";

/** The session of a record, of the named engine where it tells none. PostgreSQL's schema in a record is the database. */
export function sessionOfRecord(statement: AuditedStatement, engine: ToolEngine | undefined): ToolSession {
  const { user, clientAddress, listener, sqlMode, searchPath } = statement;
  const dialect = isToolEngine(statement.engine) ? statement.engine : engine;
  const session: ToolSession = { user, clientAddress, listener, sqlMode, searchPath, dialect };
  return isOfPostgres(session) ? session : { ...session, schema: statement.schema };
}

const MYSQL_DIALECTS = ["mysql", "mariadb", "vitess"] as const;

/** The facts of what a record holds. Undefined where its digest does not tell them. */
export function analyzeRecord(statement: AuditedStatement, session: ToolSession): Analysis | undefined {
  if (statement.form === "sql") return analyzeAs(new TextEncoder().encode(statement.text), session);
  if (isOfPostgres(session)) return analyzePostgresDigest(statement.text, postgresContextFor(session));
  // A record does not tell which of MySQL's dialects the server's is.
  for (const dialect of MYSQL_DIALECTS) {
    const analysis = analyzeDigest(statement.text, contextFor({ ...session, dialect }));
    if (analysis !== undefined) return analysis;
  }
  return undefined;
}

/** The facts of a text in such a session. */
export function analyzeAs(sql: Uint8Array, session: ToolSession): Analysis {
  return isOfPostgres(session) ? analyzePostgres(sql, postgresContextFor(session)) : analyze(sql, contextFor(session));
}

export function subjectFor(session: ToolSession): Subject {
  // As in front of the server: a session of PostgreSQL's has a search_path, of which profiles by schema know nothing.
  const schema = isOfPostgres(session) ? undefined : session.schema;
  return {
    user: session.user ?? "",
    clientAddress: session.clientAddress ?? "127.0.0.1",
    isTls: true,
    listener: session.listener ?? "default",
    isInTransaction: false,
    ...(session.role === undefined ? {} : { role: session.role }),
    ...(schema === undefined ? {} : { schema }),
    ...(session.backendRole === "reader" ? { backendRole: "reader" as const } : {}),
  };
}

/** Combination modes that set bits which change lexing. */
const COMBINED_MODES: Readonly<Record<string, number>> = {
  ANSI: SQL_MODE.ANSI_QUOTES | SQL_MODE.PIPES_AS_CONCAT | SQL_MODE.IGNORE_SPACE,
};

/** The bits of SQL_MODE that a sql_mode text or number sets; other modes do not change lexing. */
export function parseSqlMode(mode: string | number | undefined): number {
  if (mode === undefined) return 0;
  if (typeof mode === "number") return mode;
  let bits = 0;
  for (const part of mode.split(",")) {
    const name = part.trim().toUpperCase();
    bits |= COMBINED_MODES[name] ?? SQL_MODE[name as keyof typeof SQL_MODE] ?? 0;
  }
  return bits;
}
