/** Whether the role that doctor logs in as may do more on a PostgreSQL than its profile. */
import { counted } from "../../base/counted.ts";
import { type Finding, fail, type ListenerContext, ok, remedy, skip, warn } from "../check.ts";
import { shellWord } from "../shell-words.ts";

/** Attributes of a role to which no grant and no policy of the server's is a wall, by their columns of pg_roles. */
const ATTRIBUTES: readonly (readonly [column: string, word: string])[] = [
  ["rolsuper", "SUPERUSER"],
  ["rolcreaterole", "CREATEROLE"],
  ["rolcreatedb", "CREATEDB"],
  ["rolreplication", "REPLICATION"],
  ["rolbypassrls", "BYPASSRLS"],
];

/** Roles of the server's own, and of managed services, that reach beyond tables or to all of them. */
const POWERFUL_ROLES: readonly string[] = [
  "pg_read_server_files",
  "pg_write_server_files",
  "pg_execute_server_program",
  "pg_read_all_data",
  "pg_write_all_data",
  "pg_maintain",
  "pg_signal_backend",
  "pg_checkpoint",
  "pg_create_subscription",
  "rds_superuser",
  "rds_replication",
  "rds_password",
];

const TABLE_PRIVILEGES = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"] as const;

const ROLE_QUESTION = `SELECT pg_catalog.quote_ident(rolname), pg_catalog.current_database(),
  ${ATTRIBUTES.map(([column]) => column).join(", ")},
  (SELECT pg_catalog.string_agg(other.rolname, ', ' ORDER BY other.rolname) FROM pg_catalog.pg_roles other
    WHERE other.rolname IN (${POWERFUL_ROLES.map((name) => `'${name}'`).join(", ")})
    AND pg_catalog.pg_has_role(own.oid, other.oid, 'MEMBER'))
  FROM pg_catalog.pg_roles own WHERE rolname = current_user`;

const OF_THE_SERVER = "nspname LIKE 'pg\\_%' OR nspname = 'information_schema'";

/** How many tables it holds for, and the first of them and of their schemas. */
const counting = (condition: string): string =>
  ["pg_catalog.count(*)", "pg_catalog.min(name)", "pg_catalog.min(schema)"]
    .map((what) => `(SELECT ${what} FROM tables WHERE ${condition})`)
    .join(", ");
const CELLS_COUNTED = 3;

/** Of default privileges on tables that are for the role, by itself, by PUBLIC or by another role that it is in. */
const ofDefaults = (what: string): string => `(SELECT pg_catalog.string_agg(DISTINCT ${what}, E'\\n')
      FROM pg_catalog.pg_default_acl acl LEFT JOIN pg_catalog.pg_namespace space ON space.oid = acl.defaclnamespace,
      LATERAL pg_catalog.aclexplode(acl.defaclacl) made WHERE acl.defaclobjtype = 'r' AND acl.defaclrole <> made.grantee
      AND CASE WHEN made.grantee = 0 THEN true ELSE pg_catalog.pg_has_role(made.grantee, 'USAGE') END)`;

const TABLE_QUESTION = `WITH tables AS MATERIALIZED (SELECT class.oid, relowner,
    pg_catalog.quote_ident(nspname) AS schema, pg_catalog.quote_ident(nspname) || '.' || pg_catalog.quote_ident(relname) AS name
    FROM pg_catalog.pg_class class JOIN pg_catalog.pg_namespace space ON space.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT (${OF_THE_SERVER}))
  SELECT (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(nspname), ', ' ORDER BY nspname) FROM pg_catalog.pg_namespace
      WHERE pg_catalog.has_schema_privilege(oid, 'CREATE') AND NOT (${OF_THE_SERVER})),
    ${ofDefaults("made.privilege_type")},
    ${ofDefaults("'FOR ROLE ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(acl.defaclrole)) || coalesce(' IN SCHEMA ' || pg_catalog.quote_ident(space.nspname), '')")},
    ${counting("pg_catalog.pg_has_role(relowner, 'USAGE')")},
    ${TABLE_PRIVILEGES.map((name) => counting(`pg_catalog.has_table_privilege(oid, '${name}')`)).join(",\n    ")}`;

type Row = readonly (string | undefined)[];

/** What it may beyond its profile, in words, and the SQL that takes it back. */
interface Beyond {
  readonly says: string;
  readonly sql: string;
}

export async function postgresGrants(context: ListenerContext, signal: AbortSignal): Promise<Finding> {
  const { probe, config, host, user, listener } = context;
  const { file } = config.policy;
  const { questions } = probe;
  if (questions === undefined) return skip("needs a login: querycop doctor --user NAME");
  if (file === undefined) return skip("no policy.file: the built-in policy is no profile");
  const name = user ?? listener.account?.user ?? listener.account?.connection ?? "";
  const needed = await host.neededPrivileges?.(file, name, listener.backend.engine);
  if (needed === undefined) return skip("the policy does not load, or refuses nothing");
  const whom = needed.profiles.length === 0 ? "the policy" : `profile ${needed.profiles.join(", ")}`;
  const role = await questions.firstRow(ROLE_QUESTION, signal);
  if ("refusal" in role) return fail(`error ${role.refusal.code}: ${role.refusal.message}`);
  const beyond = ofRole(role.row);
  const [, database = ""] = role.row;
  // No grant is asked about where there is a superuser: it may do everything.
  if (role.row[2] !== "t") {
    const tables = await questions.firstRow(TABLE_QUESTION, signal);
    if ("refusal" in tables) return fail(`error ${tables.refusal.code}: ${tables.refusal.message}`);
    beyond.push(...ofTables(tables.row, needed.privileges, { role: role.row[0] ?? "", whom }));
  }
  const where = `; of tables those in the database ${database} alone were looked at`;
  if (beyond.length === 0) return ok(`nothing beyond ${whom}${where}`);
  return warn(
    beyond.map(({ says }) => says).join("\n") + where,
    remedy(
      "server.grants",
      `Take from the role what its profile does not need, so that the server refuses it too; what it has by PUBLIC or by another role, from there: ${beyond.map(({ sql }) => sql).join(" ")}`,
      `querycop policy grants ${shellWord(file)} --engine postgresql`,
    ),
  );
}

function ofRole([role = "", , ...cells]: Row): Beyond[] {
  const beyond: Beyond[] = ATTRIBUTES.filter((_, index) => cells[index] === "t").map(([, word]) => ({
    says: `this role has ${word}`,
    sql: `ALTER ROLE ${role} NO${word};`,
  }));
  // A superuser is a member of everything.
  const roles = cells[0] === "t" ? undefined : cells[ATTRIBUTES.length];
  if (roles !== undefined)
    beyond.push({ says: `this role is a member of ${roles}`, sql: `REVOKE ${roles} FROM ${role};` });
  return beyond;
}

function ofTables(
  [schemas, defaults, makers, owned, ownedExample, , ...counts]: Row,
  needed: ReadonlySet<string>,
  { role, whom }: { readonly role: string; readonly whom: string },
): Beyond[] {
  const beyond: Beyond[] = [];
  if (Number(owned) > 0 && !needed.has("OWNER")) {
    const says = `this role owns ${counted(Number(owned), "table")}, such as ${ownedExample}, and may ALTER and DROP them, ${whom} may not`;
    beyond.push({ says, sql: `ALTER TABLE ${ownedExample} OWNER TO another role;` });
  }
  TABLE_PRIVILEGES.forEach((privilege, index) => {
    const [count, example, schema] = counts.slice(CELLS_COUNTED * index);
    if (Number(count) === 0 || needed.has(privilege)) return;
    const says = `this role may ${privilege} on ${counted(Number(count), "table")}, such as ${example}, ${whom} may not`;
    beyond.push({ says, sql: `REVOKE ${privilege} ON ALL TABLES IN SCHEMA ${schema} FROM ${role};` });
  });
  if (schemas !== undefined && !needed.has("CREATE")) {
    const says = `this role may CREATE in schema ${schemas}, ${whom} may not`;
    beyond.push({ says, sql: `REVOKE CREATE ON SCHEMA ${schemas} FROM ${role}, PUBLIC;` });
  }
  const later = (defaults ?? "").split("\n").filter((privilege) => privilege !== "" && !needed.has(privilege));
  if (later.length > 0) {
    const says = `default privileges give this role ${later.join(", ")} on tables that are made later, ${whom} may not`;
    const sql = (makers ?? "")
      .split("\n")
      .map((maker) => `ALTER DEFAULT PRIVILEGES ${maker} REVOKE ${later.join(", ")} ON TABLES FROM ${role};`);
    beyond.push({ says, sql: sql.join(" ") });
  }
  return beyond;
}
