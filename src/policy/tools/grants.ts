/**
 * The least privileges that a profile's statements need, as GRANTs of MySQL and MariaDB. What a profile may do is not read
 * off its settings: every privilege is asked for by statements that need it, and granted where the policy lets one through.
 */
import { analyze } from "../../sql/mysql/analyze.ts";
import { decide } from "../decide.ts";
import { applyFragment, type Policy, type Settings, type TablePattern } from "../policy.ts";
import { contextFor, subjectFor } from "./tool-context.ts";

/** A privilege, and statements that the servers refuse without it. `s` and `t` stand for schema and table. */
const PRIVILEGES: readonly (readonly [privilege: string, ...statements: string[]])[] = [
  ["SELECT", "SELECT a FROM s.t WHERE a = 1", "TABLE s.t"],
  ["SHOW VIEW", "SHOW CREATE VIEW s.t"],
  ["INSERT", "INSERT INTO s.t (a) VALUES (1)", "INSERT INTO s.t (a) SELECT 1", "REPLACE INTO s.t (a) VALUES (1)"],
  ["UPDATE", "UPDATE s.t SET a = 1 WHERE a = 2", "INSERT INTO s.t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = 2"],
  ["DELETE", "DELETE FROM s.t WHERE a = 1", "REPLACE INTO s.t (a) VALUES (1)"],
  ["CREATE", "CREATE TABLE s.t (a INT)"],
  ["CREATE TEMPORARY TABLES", "CREATE TEMPORARY TABLE s.t (a INT)"],
  ["DROP", "DROP TABLE s.t", "TRUNCATE s.t", "DROP VIEW s.t", "CREATE OR REPLACE VIEW s.t AS SELECT 1 AS a"],
  ["ALTER", "ALTER TABLE s.t ADD COLUMN b INT", "RENAME TABLE s.t TO s.t2"],
  ["INDEX", "CREATE INDEX i ON s.t (a)", "DROP INDEX i ON s.t"],
  ["REFERENCES", "CREATE TABLE s.t (a INT, FOREIGN KEY (a) REFERENCES s.t (a))"],
  ["CREATE VIEW", "CREATE VIEW s.t AS SELECT 1 AS a"],
  ["TRIGGER", "CREATE TRIGGER s.r BEFORE INSERT ON s.t FOR EACH ROW SET NEW.a = 1"],
  ["LOCK TABLES", "LOCK TABLES s.t READ"],
  ["EXECUTE", "CALL s.p()"],
  ["CREATE ROUTINE", "CREATE PROCEDURE s.p() SELECT 1"],
  ["ALTER ROUTINE", "DROP PROCEDURE s.p", "ALTER PROCEDURE s.p COMMENT 'x'"],
  ["EVENT", "CREATE EVENT s.e ON SCHEDULE EVERY 1 DAY DO SELECT 1"],
];

/** What is granted for a table alone. */
const TABLE_PRIVILEGES: ReadonlySet<string> = new Set(
  "SELECT INSERT UPDATE DELETE CREATE DROP ALTER INDEX REFERENCES TRIGGER"
    .split(" ")
    .concat("CREATE VIEW", "SHOW VIEW"),
);

export interface GrantOptions {
  /** Only this profile; undefined for all, and for those whom no profile matches. */
  readonly profile: string | undefined;
  /** The schema for profiles that name none. */
  readonly schema: string | undefined;
}

/** Where something is granted: `*` for a schema's tables, both `*` for all. */
export interface Scope {
  readonly schema: string;
  readonly table: string;
}

/** SQL text for people to look at and run: a comment and GRANTs for each profile. Throws RangeError for an unknown profile. */
export function renderGrants(policy: Policy, options: GrantOptions): string {
  return renderSubjects(policy, options, renderSubject);
}

/** A comment that says whom it is for, and the lines of its grants. */
export type SubjectRenderer = (
  title: string,
  users: readonly string[],
  settings: Settings,
  schema: string | undefined,
) => string;

/** One part for each profile. Throws RangeError for an unknown profile. */
export function renderSubjects(policy: Policy, { profile, schema }: GrantOptions, render: SubjectRenderer): string {
  const profiles = policy.profiles.filter(({ name }) => profile === undefined || name === profile);
  if (profile !== undefined && profiles.length === 0) throw new RangeError(`no profile is named "${profile}"`);
  const parts = profiles.map(({ name, match, settings }) => {
    const users = match.users.map(({ pattern }) => pattern);
    return render(`profile ${oneLine(name)}`, users, applyFragment(policy.base, settings), schema);
  });
  if (profile === undefined) parts.push(render("whom no profile matches", [], policy.base, schema));
  return `${parts.join("\n")}`;
}

/** The privileges that anything the settings let through may need, whatever its schema. */
export function neededPrivileges(settings: Settings, schema: string | undefined): ReadonlySet<string> {
  const needed = new Set<string>();
  for (const scope of scopesOf(settings, schema)) {
    for (const privilege of privilegesFor(settings, scope)) needed.add(privilege);
  }
  if (settings.allowRoutines.length + settings.allowFunctions.length > 0) needed.add("EXECUTE");
  return needed;
}

function renderSubject(
  title: string,
  users: readonly string[],
  settings: Settings,
  schema: string | undefined,
): string {
  const accounts = users.filter((user) => !/[*?]/.test(user)).map((user) => `${literal(user)}@'%'`);
  const patterns = users.filter((user) => /[*?]/.test(user));
  const lines = [`-- ${title}`];
  if (patterns.length > 0) lines.push(`-- the same for every account like ${patterns.map(oneLine).join(", ")}`);
  if (accounts.length === 0) accounts.push("'ACCOUNT'@'%'");
  lines.push(...notesOn(settings));
  const granted = new Set<string>();
  for (const scope of scopesOf(settings, schema)) {
    const privileges = privilegesFor(settings, scope);
    if (privileges.length === 0) continue;
    for (const privilege of privileges) granted.add(privilege);
    for (const account of accounts) lines.push(`GRANT ${privileges.join(", ")} ON ${scopeText(scope)} TO ${account};`);
  }
  // Whoever may call any routine has EXECUTE on the schema.
  if (!granted.has("EXECUTE")) for (const account of accounts) lines.push(...routineGrants(settings, account));
  return `${lines.join("\n")}\n`;
}

/** What privileges cannot say. */
export function notesOn(settings: Settings): string[] {
  const notes: string[] = [];
  const names = settings.denyTables.map(({ table }) => table.text);
  if (names.length > 0 && settings.allowTables === undefined) {
    notes.push(`-- a grant takes no table out: to keep ${names.map(oneLine).join(", ")} closed, grant table by table`);
  }
  if (settings.newDigest !== undefined)
    notes.push("-- learned statements are known by digests: what they need is not told here");
  if (settings.denyColumns.length > 0)
    notes.push("-- nor a column: grant SELECT (a, b) for tables with denied columns");
  return notes;
}

export function scopesOf(settings: Settings, schema: string | undefined): Scope[] {
  const schemas = settings.schemas?.map(({ pattern }) => pattern) ?? [schema ?? "*"];
  if (settings.allowTables === undefined) return schemas.map((name) => ({ schema: name, table: "*" }));
  return settings.allowTables.flatMap((pattern) => tableScopes(pattern, schemas));
}

function tableScopes({ schema, table }: TablePattern, schemas: readonly string[]): Scope[] {
  const names = schema === undefined ? schemas : [schema.pattern];
  // A pattern over tables is a schema's grant: servers have none over names of tables.
  const isPattern = /[*?]/.test(table.pattern);
  return names.map((name) => ({ schema: name, table: isPattern || /[*?]/.test(name) ? "*" : table.pattern }));
}

function privilegesFor(settings: Settings, scope: Scope): string[] {
  return PRIVILEGES.filter(([privilege, ...statements]) => {
    if (scope.table !== "*" && !TABLE_PRIVILEGES.has(privilege)) return false;
    return statements.some((statement) => isLetThrough(settings, statement, scope));
  }).map(([privilege]) => privilege);
}

/** A name that a pattern matches. */
export const sample = (pattern: string, otherwise: string): string =>
  pattern === "*" ? otherwise : pattern.replaceAll(/[*?]/g, "x");

/** What is about single statements and rows, where no privilege is. */
export const ABOUT_ROWS = {
  tenants: [],
  requireWhere: [],
  canaryTables: [],
  knownDigests: new Set<string>(),
  newDigest: undefined,
  impact: undefined,
} as const;

function isLetThrough(settings: Settings, statement: string, scope: Scope): boolean {
  const schema = sample(scope.schema, "querycop_schema");
  const table = sample(scope.table, "querycop_table");
  const names: Readonly<Record<string, string>> = { s: quoted(schema), t: quoted(table) };
  const sql = statement.replaceAll(
    /\b(s)\.(\w+)/g,
    (_, s: string, t: string) => `${names[s]}.${names[t] ?? quoted(`querycop_${t}`)}`,
  );
  const policy: Policy = {
    version: "grants",
    base: { ...settings, ...ABOUT_ROWS },
    profiles: [],
    dependsOnTime: false,
  };
  const context = { ...contextFor({ schema, dialect: "mariadb" }), multiStatements: false };
  const subject = subjectFor({ user: "querycop", schema });
  return decide(analyze(Buffer.from(sql), context), subject, policy, { wallMs: 0 }).enforcedAction !== "block";
}

function routineGrants({ allowRoutines, allowFunctions }: Settings, account: string): string[] {
  const exact = (kind: string, pattern: string): string[] => {
    const parts = pattern.split(".");
    if (parts.length !== 2 || /[*?]/.test(pattern))
      return [`-- ${kind} ${oneLine(pattern)}: grant EXECUTE by its full name`];
    return [`GRANT EXECUTE ON ${kind} ${parts.map(quoted).join(".")} TO ${account};`];
  };
  return [
    ...allowRoutines.flatMap(({ pattern }) => exact("PROCEDURE", pattern)),
    ...allowFunctions.flatMap(({ pattern }) => exact("FUNCTION", pattern)),
  ];
}

function scopeText({ schema, table }: Scope): string {
  if (schema === "*") return "*.*";
  if (table !== "*") return `${quoted(schema)}.${quoted(table)}`;
  // In a schema's grant _ and % are patterns.
  return `${quoted(
    schema
      .replaceAll(/[_%\\]/g, "\\$&")
      .replaceAll("*", "%")
      .replaceAll("?", "_"),
  )}.*`;
}

const quoted = (name: string): string => `\`${name.replaceAll("`", "``")}\``;
const literal = (name: string): string => `'${name.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
export const oneLine = (text: string): string => text.replaceAll(/[\r\n]/g, " ");
