/** Whether the account that doctor logs in as may do more than its profile: the policy is then the only wall. */
import { fail, type ListenerCheck, ok, remedy, skip, warn } from "./check.ts";
import { postgresGrants } from "./postgres/grant-questions.ts";
import { shellWord } from "./shell-words.ts";

/** Privileges of every account. */
const HARMLESS: ReadonlySet<string> = new Set(["USAGE", "PROXY"]);
const SHOWN_MAX = 12;
/** What ALL PRIVILEGES means on a schema or table: what MySQL and MariaDB both have there. On `*.*` it is more. */
const ALL_ON_SCHEMA: readonly string[] = [
  ...["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES", "EVENT", "TRIGGER"],
  ...[
    "CREATE TEMPORARY TABLES",
    "LOCK TABLES",
    "CREATE VIEW",
    "SHOW VIEW",
    "CREATE ROUTINE",
    "ALTER ROUTINE",
    "EXECUTE",
  ],
];

interface Grant {
  readonly privileges: readonly string[];
  /** As the server writes it: `*.*`, `` `shop`.* ``. */
  readonly scope: string;
}

/** A line of SHOW GRANTS; undefined for what gives no privilege, such as a role. */
function readGrant(line: string): Grant | undefined {
  const on = line.indexOf(" ON ");
  const to = line.indexOf(" TO ", on);
  if (!line.startsWith("GRANT ") || on < 0 || to < 0) return undefined;
  // Columns in parentheses belong to the privilege before them.
  const list = withoutParentheses(line.slice("GRANT ".length, on));
  return { privileges: list.split(",").map((each) => each.trim()), scope: line.slice(on + 4, to) };
}

function withoutParentheses(text: string): string {
  let depth = 0;
  let kept = "";
  for (const character of text) {
    if (character === "(") depth++;
    else if (character === ")") depth--;
    else if (depth === 0) kept += character;
  }
  return kept;
}

export const serverGrants: ListenerCheck = {
  id: "server.grants",
  scope: "listener",
  onPostgres: postgresGrants,
  title: "The account may no more than its profile",
  about:
    'After the login: compares `SHOW GRANTS` with what the policy lets the user of `--user` do, as `querycop policy grants` prints it, and warns of every privilege beyond it: "this account may DROP, the profile may not". Then the policy is the only wall. Privileges that come by a role are not looked at, the role is named. On PostgreSQL: SUPERUSER, CREATEROLE, CREATEDB, REPLICATION and BYPASSRLS, membership in pg_read_server_files, pg_execute_server_program and their like, tables that the role owns, privileges on the tables of the database it logs in to (also those that come by a role or PUBLIC), CREATE on schemas and default privileges.',
  needs: ["server.settings"],
  timeoutMs: ({ listener }) => 2 * listener.backend.loginTimeoutMs,
  run: async ({ probe, config, host, user }) => {
    const { file } = config.policy;
    if (probe.queries === undefined || user === undefined) return skip("needs a login: querycop doctor --user NAME");
    if (file === undefined) return skip("no policy.file: the built-in policy is no profile");
    const needed = await host.neededPrivileges?.(file, user, "mysql");
    if (needed === undefined) return skip("the policy does not load, or refuses nothing");
    const answer = await probe.queries.rows("SHOW GRANTS");
    if ("errorNumber" in answer) return fail(`error ${answer.errorNumber}: ${answer.message}`);
    const lines = answer.rows.map(([line]) => line ?? "");
    const beyond = lines.flatMap((line) => beyondOf(readGrant(line), needed.privileges));
    const roles = lines.filter((line) => line.startsWith("GRANT `") && !line.includes(" ON "));
    const whom = needed.profiles.length === 0 ? "the policy" : `profile ${needed.profiles.join(", ")}`;
    const note = roles.length === 0 ? "" : `; ${roles.length} roles are not looked at`;
    if (beyond.length === 0) return ok(`no privilege beyond ${whom}${note}`);
    const shown = beyond.slice(0, SHOWN_MAX);
    const more = beyond.length > shown.length ? [`and ${beyond.length - shown.length} more`] : [];
    const says = shown.map((each) => `this account may ${each}, ${whom} may not`);
    return warn(
      [...says, ...more].join("\n") + note,
      remedy(
        "server.grants",
        "Take from the account what its profile does not need, so that the server refuses it too.",
        `querycop policy grants ${shellWord(file)}`,
      ),
    );
  },
};

function beyondOf(grant: Grant | undefined, needed: ReadonlySet<string>): string[] {
  if (grant === undefined) return [];
  const isAllOfSchema = grant.scope !== "*.*" && grant.privileges.includes("ALL PRIVILEGES");
  const privileges = isAllOfSchema ? ALL_ON_SCHEMA : grant.privileges;
  return privileges
    .filter((privilege) => !needed.has(privilege) && !HARMLESS.has(privilege))
    .map((privilege) => `${privilege === "ALL PRIVILEGES" ? "do everything" : privilege} on ${grant.scope}`);
}
