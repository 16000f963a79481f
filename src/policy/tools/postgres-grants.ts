/**
 * The least privileges that a profile's statements need, as GRANTs of PostgreSQL and Aurora DSQL: as grants.ts has them for MySQL.
 * The grammar must be loaded (loadParser()).
 */
import { ident } from "../../sql/postgres/writing/safe-sql.ts";
import { decide } from "../decide.ts";
import type { Policy, Settings } from "../policy.ts";
import {
  ABOUT_ROWS,
  type GrantOptions,
  notesOn,
  oneLine,
  renderSubjects,
  type Scope,
  sample,
  scopesOf,
} from "./grants.ts";
import { analyzeAs, subjectFor } from "./tool-context.ts";

/** A privilege, and statements that servers refuse without it. `s` and `t` stand for schema and table. */
type Privilege = readonly [name: string, ...statements: string[]];

const TABLE_PRIVILEGES: readonly Privilege[] = [
  ["SELECT", "SELECT a FROM s.t WHERE a = 1", "TABLE s.t", "COPY s.t TO STDOUT"],
  ["INSERT", "INSERT INTO s.t (a) VALUES (1)", "INSERT INTO s.t (a) SELECT 1", "COPY s.t (a) FROM STDIN"],
  ["UPDATE", "UPDATE s.t SET a = 1 WHERE a = 2", "INSERT INTO s.t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2"],
  ["DELETE", "DELETE FROM s.t WHERE a = 1"],
  ["TRUNCATE", "TRUNCATE s.t"],
  ["REFERENCES", "CREATE TABLE s.t (a int REFERENCES s.t (a))"],
  ["TRIGGER", "CREATE TRIGGER r BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.f()"],
];
const CREATE: Privilege = [
  "CREATE",
  "CREATE TABLE s.t (a int)",
  "CREATE VIEW s.t AS SELECT 1 AS a",
  "CREATE FUNCTION s.f() RETURNS int LANGUAGE sql RETURN 1",
];
/** What an owner may and nobody else can be granted. */
const OWNERS: Privilege = ["OWNER", "ALTER TABLE s.t ADD COLUMN b int", "DROP TABLE s.t", "CREATE INDEX i ON s.t (a)"];

/** All privileges on tables that every version has. */
const POSTGRES_TABLE_PRIVILEGES: readonly string[] = TABLE_PRIVILEGES.map(([name]) => name);

/** SQL text for people to look at and run. Throws RangeError for an unknown profile. */
export function renderPostgresGrants(policy: Policy, options: GrantOptions): string {
  return renderSubjects(policy, options, renderSubject);
}

/** The privileges on tables, CREATE on schemas, and OWNER for what owners alone may, that anything the settings let through may need, whatever its schema. */
export function neededPostgresPrivileges(settings: Settings, schema: string | undefined): ReadonlySet<string> {
  const scopes = scopesOf(settings, schema);
  const needed = [...TABLE_PRIVILEGES, CREATE, OWNERS].filter((each) =>
    scopes.some((scope) => isNeeded(each, settings, scope)),
  );
  return new Set(needed.map(([name]) => name));
}

function renderSubject(
  title: string,
  users: readonly string[],
  settings: Settings,
  schema: string | undefined,
): string {
  const lines = [`-- ${title}`];
  const patterns = users.filter((user) => /[*?]/.test(user));
  if (patterns.length > 0) lines.push(`-- the same for every role like ${patterns.map(oneLine).join(", ")}`);
  const names = users.filter((user) => !patterns.includes(user));
  const roles = (names.length === 0 ? ["ROLE"] : names).map((name) => ident(name).toString()).join(", ");
  lines.push(...notesOn(settings));
  for (const scope of scopesOf(settings, schema)) lines.push(...grantsOn(scope, settings, roles));
  lines.push(...routineGrants(settings, roles));
  return `${lines.join("\n")}\n`;
}

/** Tables of no schema in particular are granted in this one, for people to write the others. */
const ANY_SCHEMA = "public";

function grantsOn(scope: Scope, settings: Settings, roles: string): string[] {
  const isPattern = /[*?]/.test(scope.schema);
  const schema = ident(isPattern ? ANY_SCHEMA : scope.schema).toString();
  const lines = isPattern
    ? [`-- the same for every schema${scope.schema === "*" ? "" : ` like ${oneLine(scope.schema)}`}`]
    : [];
  const needed = TABLE_PRIVILEGES.filter((each) => isNeeded(each, settings, scope)).map(([name]) => name);
  const beyond = POSTGRES_TABLE_PRIVILEGES.filter((name) => !needed.includes(name));
  const isMaker = scope.table === "*" && isNeeded(CREATE, settings, scope);
  const isOwner = isNeeded(OWNERS, settings, scope);
  if (needed.length === 0 && !isMaker && !isOwner) return [];
  const all = `ALL TABLES IN SCHEMA ${schema}`;
  const tables = scope.table === "*" ? all : `${schema}.${ident(scope.table)}`;
  lines.push(`GRANT ${isMaker ? "USAGE, CREATE" : "USAGE"} ON SCHEMA ${schema} TO ${roles};`);
  if (needed.length > 0) {
    const list = needed.join(", ");
    lines.push(`GRANT ${list} ON ${tables} TO ${roles};`);
    if (tables === all) {
      lines.push(
        "-- of tables that are made later, by whoever makes them:",
        `-- ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT ${list} ON TABLES TO ${roles};`,
      );
    }
  }
  if (needed.includes("INSERT")) {
    if (tables === all) lines.push(`GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${schema} TO ${roles};`);
    else lines.push(`-- and USAGE on the sequences of its serial columns`);
  }
  if (beyond.length > 0)
    lines.push(`-- to take back what is beyond it: REVOKE ${beyond.join(", ")} ON ${tables} FROM ${roles};`);
  if (isOwner) lines.push("-- ALTER, DROP and CREATE INDEX are the owner's: no grant gives them");
  return lines;
}

function isNeeded([, ...statements]: Privilege, settings: Settings, scope: Scope): boolean {
  const schema = ident(sample(scope.schema, "querycop_schema")).toString();
  const table = ident(sample(scope.table, "querycop_table")).toString();
  const base = { ...settings, ...ABOUT_ROWS };
  const policy: Policy = { version: "grants", base, profiles: [], dependsOnTime: false };
  const session = { user: "querycop", dialect: "postgresql" };
  return statements.some((statement) => {
    const sql = statement.replaceAll(
      /\bs\.(\w+)/g,
      (_, name: string) => `${schema}.${name === "t" ? table : `querycop_${name}`}`,
    );
    const analysis = analyzeAs(Buffer.from(sql), session);
    return decide(analysis, subjectFor(session), policy, { wallMs: 0 }).enforcedAction !== "block";
  });
}

/** Everybody may call a routine unless that was taken away. */
function routineGrants({ allowRoutines, allowFunctions }: Settings, roles: string): string[] {
  return [...allowRoutines, ...allowFunctions].map(({ pattern }) => {
    const parts = pattern.split(".");
    if (parts.length > 2 || /[*?]/.test(pattern))
      return `-- routine ${oneLine(pattern)}: grant EXECUTE by its full name`;
    return `-- where it was taken from PUBLIC: GRANT EXECUTE ON ROUTINE ${ident(...parts)} TO ${roles};`;
  });
}
