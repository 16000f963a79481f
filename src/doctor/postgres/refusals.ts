/** What a PostgreSQL says to a login that it does not take, with what to do about it. */
import { QuerycopError } from "../../base/errors.ts";
import type { PostgresRefusal } from "../../session/postgres/login/backend-login.ts";
import { type Finding, fail, type Remedy, remedy, warn } from "../check.ts";
import { messageOf } from "../messages.ts";

const GRANT = (name: string): string => `psql -c 'GRANT rds_iam TO "${name}"'`;

const plainName = (user: string): string => (/^[A-Za-z0-9_.@+-]+$/.test(user) ? user : "USER");

const isAboutRules = ({ fields }: PostgresRefusal): boolean => /pg_hba\.conf/.test(fields.message);

/** What a server says at its door, by SQLSTATE (manual, appendix errcodes). */
const REFUSALS: Readonly<Record<string, readonly [text: string, ...commands: string[]]>> = {
  "3D000": [
    "The login was taken; only the database postgres, which doctor asks for, is not there. Make it, or see with a client.",
    "psql -c 'CREATE DATABASE postgres'",
  ],
  "42501": [
    "The login was taken; only the database postgres, which doctor asks for, is closed to this user.",
    "psql -c 'GRANT CONNECT ON DATABASE postgres TO PUBLIC'",
  ],
  "53300": [
    "The server has no free connection: end some, raise max_connections, or lower max_connections of querycop.",
    "psql -c 'SELECT usename, client_addr, state FROM pg_catalog.pg_stat_activity'",
  ],
  "57P03": ["The server is starting, stopping or recovering: wait, then see its log."],
};

/** Doctor's own choice of a database is all that is refused. */
const LOGIN_TAKEN: ReadonlySet<string> = new Set(["3D000", "42501"]);

export function explainRefusal(id: string, error: PostgresRefusal, user: string, tokenSource: string): Finding {
  const { code } = error.fields;
  const known = REFUSALS[code];
  if (known !== undefined) {
    const [text, ...commands] = known;
    const help = remedy(id, text, ...commands);
    return LOGIN_TAKEN.has(code) ? warn(error.message, help) : fail(error.message, help);
  }
  return fail(error.message, loginRemedy(id, error, plainName(user), tokenSource));
}

function loginRemedy(id: string, error: PostgresRefusal, name: string, tokenSource: string): Remedy {
  const { code } = error.fields;
  if (code === "28000" && isAboutRules(error)) {
    return remedy(
      id,
      "No line of pg_hba.conf is for this host, user, database and encryption: add one, hostssl where backend.tls_mode wants TLS.",
      "psql -c 'SELECT type, database, user_name, address, auth_method FROM pg_catalog.pg_hba_file_rules'",
    );
  }
  if (code !== "28P01" && code !== "28000") return remedy(id, "See the server's log for the error.");
  if (tokenSource === "none") {
    const text = "The user is missing there, or may not log in.";
    return remedy(id, text, "psql -c 'SELECT rolname, rolcanlogin FROM pg_catalog.pg_roles'");
  }
  if (tokenSource === "password") {
    return remedy(
      id,
      "The password that querycop holds is not this user's: put the right one where the connection's password comes from.",
    );
  }
  if (tokenSource === "dsql-signer") {
    const text =
      "Any of: the role is missing or no IAM role is granted it, the IAM role lacks the permission of token.policy, or the clock or region is wrong. As admin: AWS IAM GRANT ROLE TO 'ARN'.";
    return remedy(id, text, "psql -c 'SELECT * FROM sys.iam_pg_role_mappings'", "aws sts get-caller-identity");
  }
  return remedy(
    id,
    "Any of: the user is missing or not for tokens, IAM authentication is off on the server, the role lacks the permission of token.policy, or its clock or region is wrong.",
    GRANT(name),
    "aws sts get-caller-identity",
  );
}

/** querycop's own no, before the server said one. */
export function explainLoginFailure(error: unknown, user: string): Finding {
  const help = "See docs/errors.md for the error, and the server's log.";
  if (!(error instanceof QuerycopError) || error.code !== "QC_BACKEND_REFUSED") {
    return fail(messageOf(error), remedy("backend.login", help));
  }
  const advice = error.clientMessage?.replace(/^querycop: login to the database failed: /, "") ?? help;
  const commands = advice.includes("rds_iam") ? [GRANT(plainName(user))] : [];
  return fail(`${messageOf(error)}\n${advice}`, remedy("backend.login", "Do what the line above says.", ...commands));
}
