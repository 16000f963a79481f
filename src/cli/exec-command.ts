/** `querycop exec` and `querycop connect`: their help and options. What they do is loaded when it is asked for. */
import type { ArgsDef } from "citty";
import type { CommandIo } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";

const RUN_OPTIONS = [
  ["--admin", "Aurora DSQL: log in as admin, with dsql:DbConnectAdmin, which nothing else does"],
  ["--several-statements", "psql: let a -c hold more than one statement, which is one transaction then"],
  ["--tcp", "Listen on 127.0.0.1 in place of a unix socket, for programs that know no sockets"],
  ["--tcp-port PORT", "The same on this port"],
  ["--pristine", "Give the program PATH, HOME, terminal and language alone of this environment"],
  ["--dry-run", "Print what would be run, and start nothing"],
] as const;

export const execHelp: CommandHelp = {
  name: "exec",
  summary: "Run a program with a named connection, guarded and recorded",
  example: "  querycop exec reporting -- mysql --batch --connect-timeout=10",
  text: [
    "  querycop exec NAME [options] -- PROGRAM [ARGUMENTS]",
    "Opens a private listener that leads to the connection, with the policy and audit log of the configuration, and starts",
    "the program with a password that is good for it alone. mysql, mariadb and their tools are told by a defaults file, psql and",
    "all that has libpq by its variables PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE; others by QUERYCOP_URL, QUERYCOP_HOST,",
    "QUERYCOP_PORT, QUERYCOP_SOCKET, QUERYCOP_USER, QUERYCOP_PASSWORD and QUERYCOP_DATABASE.",
    "Exits as the program does: 127 where it is not found, 126 where it cannot be run, 125 where querycop itself fails.",
  ].join("\n"),
  options: [
    [
      "--env VAR=TEXT",
      "One variable more, as often as wanted, with {url}, {host}, {port}, {socket}, {user}, {password}, {database} filled in",
    ],
    ...RUN_OPTIONS,
  ],
  settings: ["log.level"],
};

export const connectHelp: CommandHelp = {
  name: "connect",
  summary: "Open a prompt on a named connection, guarded and recorded: psql, or mysql or mariadb",
  example: "  querycop connect reporting",
  text: [
    "As querycop exec NAME -- psql where the connection leads to PostgreSQL or Aurora DSQL; otherwise -- mysql, or mariadb where",
    "there is no mysql. What stands behind -- are its arguments.",
  ].join("\n"),
  options: RUN_OPTIONS,
  settings: ["log.level"],
};

const connectionWord = { type: "positional", valueHint: "NAME", required: true } as const;

export const connectArguments: ArgsDef = {
  connection: connectionWord,
  admin: { type: "boolean" },
  "several-statements": { type: "boolean" },
  tcp: { type: "boolean" },
  "tcp-port": { type: "string" },
  pristine: { type: "boolean" },
  "dry-run": { type: "boolean" },
};

export const execArguments: ArgsDef = { ...connectArguments, env: { type: "string", valueHint: "VAR=TEXT…" } };

export async function exec(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  const { runExec } = await import("./exec-run.ts");
  return await runExec(args, io, io.program);
}

export async function connect(args: Readonly<Record<string, unknown>>, io: CommandIo): Promise<number> {
  const { runConnect } = await import("./exec-run.ts");
  return await runConnect(args, io);
}
