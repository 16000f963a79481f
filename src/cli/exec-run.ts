/** `querycop exec NAME -- PROGRAM` and `querycop connect NAME`. */
import { closeSync } from "node:fs";
import { userInfo } from "node:os";
import type { BackendEngine, Config } from "../config/schema.ts";
import {
  defaultsFileText,
  type PrivateTarget,
  programEnvironment,
  takesDefaultsFile,
  unlinkedFile,
} from "../connections/client-program.ts";
import { POSTGRES_SOCKET_NAME } from "../connections/postgres-program.ts";
import { makePrivateFolder, type PrivateFolder } from "../connections/private-folder.ts";
import { psqlCommands } from "../connections/psql-arguments.ts";
import {
  endAs,
  findProgram,
  NOT_EXECUTABLE,
  NOT_FOUND,
  type ProgramEnd,
  runProgram,
} from "../connections/run-program.ts";
import type { PrivateServer } from "../server/private-server.ts";
import { loadParser } from "../sql/postgres/parser/parser.ts";
import { statementsIn } from "../sql/postgres/statement-count.ts";
import { valuesOf } from "./arguments.ts";
import { type CommandIo, EXIT_OK, UsageError } from "./command-io.ts";
import { connectionOf, inRole, loadConnections, type ReachedConnection, reachConnection } from "./connection-choice.ts";
import { privateServerFor } from "./private-server-for.ts";

/** querycop itself failed; programs of their own kind say so by the same code. */
const EXIT_OURS = 125;

type Arguments = Readonly<Record<string, unknown>>;

/** What is to be run and how, as the command line says it. */
interface Plan {
  readonly connection: string;
  /** Undefined for the prompt of the connection's engine. */
  readonly program: string | undefined;
  readonly args: readonly string[];
  readonly isAdmin: boolean;
  readonly maySendSeveral: boolean;
  readonly tcpPort: number | undefined;
  readonly isPristine: boolean;
  readonly isDryRun: boolean;
  readonly templates: ReadonlyMap<string, string>;
}

export async function runExec(args: Arguments, io: CommandIo, words: readonly string[] = []): Promise<number> {
  const [program, ...rest] = words;
  if (program === undefined) throw new UsageError("the program is missing: querycop exec NAME -- PROGRAM");
  return await run(planOf(args, program, rest), args, io);
}

export async function runConnect(args: Arguments, io: CommandIo): Promise<number> {
  return await run(planOf(args, undefined, io.program ?? []), args, io);
}

function planOf(args: Arguments, program: string | undefined, rest: readonly string[]): Plan {
  const port = args["tcp-port"];
  const isPort = typeof port === "string" && /^[0-9]{1,5}$/.test(port) && Number(port) <= 65_535;
  if (port !== undefined && !isPort) throw new UsageError("--tcp-port: expected a port from 0 to 65535");
  return {
    connection: String(args["connection"]),
    program,
    args: rest,
    isAdmin: args["admin"] === true,
    maySendSeveral: args["several-statements"] === true,
    tcpPort: isPort ? Number(port) : args["tcp"] === true ? 0 : undefined,
    isPristine: args["pristine"] === true,
    isDryRun: args["dry-run"] === true,
    templates: templatesOf(args["env"]),
  };
}

function templatesOf(given: unknown): ReadonlyMap<string, string> {
  return new Map(
    valuesOf(given).map((text) => {
      const equals = text.indexOf("=");
      const name = text.slice(0, Math.max(equals, 0));
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw new UsageError("--env: expected VAR=TEXT");
      return [name, text.slice(equals + 1)];
    }),
  );
}

/** What is run, and its file. */
interface Started extends Plan {
  readonly program: string;
  readonly path: string;
}

/** The prompt where none was named; the exit code where the program cannot be run, which has been told then. */
function startedOf(plan: Plan, engine: BackendEngine, io: CommandIo): Started | number {
  const wanted = plan.program === undefined ? PROMPTS[engine] : [plan.program];
  let worst: number = NOT_FOUND;
  for (const program of wanted) {
    const found = findProgram(program, io.env["PATH"]);
    if ("path" in found) return { ...plan, program, path: found.path };
    worst = found.code;
  }
  const why = worst === NOT_FOUND ? "is not found" : "cannot be executed";
  io.stderr(`querycop: exec: ${wanted.join(" or ")} ${why}\n`);
  return worst;
}

const PROMPTS: Readonly<Record<BackendEngine, readonly string[]>> = {
  mysql: ["mysql", "mariadb"],
  postgresql: ["psql"],
  dsql: ["psql"],
};

async function run(plan: Plan, args: Arguments, io: CommandIo): Promise<number> {
  const config = await loadConnections(args, io);
  if (config === undefined) return EXIT_OURS;
  const connection = inRole(connectionOf(config, plan.connection), plan.isAdmin);
  const { engine } = connection.listener.backend;
  const started = startedOf(plan, engine, io);
  if (typeof started === "number") return started;
  if (engine !== "mysql" && !plan.maySendSeveral) await requireSingleStatements(started, engine);
  let reached: ReachedConnection;
  try {
    reached = await reachConnection(connection, io);
  } catch (thrown) {
    return failed(thrown, io);
  }
  for (const remark of reached.remarks) io.stderr(`note: ${remark}\n`);
  let end: ProgramEnd | typeof EXIT_OURS;
  try {
    if (plan.isDryRun) return describe(started, reached, io);
    end = await runGuarded(started, { config, reached }, io);
  } finally {
    reached.passwords?.close();
  }
  if (typeof end === "number") return end;
  if (end.kind === "exit") return end.code;
  if (end.kind === "signal") return await endAs(end.signal);
  io.stderr(`querycop: exec: cannot start ${started.program}: ${end.why}\n`);
  return NOT_EXECUTABLE;
}

/** A shell that puts a value into the text of a -c is how a second statement comes into it. */
async function requireSingleStatements({ program, args }: Started, engine: BackendEngine): Promise<void> {
  const texts = psqlCommands(program, args);
  if (texts.length === 0) return;
  await loadParser();
  for (const text of texts) {
    const count = statementsIn(text, engine === "dsql");
    if (count <= 1) continue;
    const why =
      engine === "dsql"
        ? "DSQL takes one DDL statement in a transaction, and no DML beside it"
        : "one text is one transaction";
    throw new UsageError(
      `a -c holds ${count} statements, and one is let through: give each a -c of its own (${why}), or say --several-statements`,
    );
  }
}

function failed(thrown: unknown, io: CommandIo): typeof EXIT_OURS {
  io.stderr(`querycop: exec: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  return EXIT_OURS;
}

interface Opened {
  readonly config: Config;
  readonly reached: ReachedConnection;
}

async function runGuarded(
  plan: Started,
  { config, reached }: Opened,
  io: CommandIo,
): Promise<ProgramEnd | typeof EXIT_OURS> {
  let folder: PrivateFolder | undefined;
  let server: PrivateServer | undefined;
  try {
    const { engine } = reached.listener.backend;
    folder = makePrivateFolder(io.env, engine === "mysql" ? "mysql.sock" : POSTGRES_SOCKET_NAME);
    server = privateServerFor(reached, config, io, [userInfo().username]);
    const target = await listen(server, folder, plan, reached);
    return await runWith(plan, target, folder, io);
  } catch (thrown) {
    return failed(thrown, io);
  } finally {
    await server?.close();
    folder?.remove();
  }
}

async function listen(
  server: PrivateServer,
  { socketPath }: PrivateFolder,
  { tcpPort }: Plan,
  { listener, database }: ReachedConnection,
): Promise<PrivateTarget> {
  const { user, password } = server;
  const { engine } = listener.backend;
  const known = { engine, user, password, database: database ?? DEFAULT_DATABASES[engine] };
  if (tcpPort === undefined) {
    await server.listen({ kind: "unix", path: socketPath });
    return { host: "localhost", port: 0, socketPath, ...known };
  }
  const host = "127.0.0.1";
  return { host, port: await server.listen({ kind: "tcp", host, port: tcpPort }), socketPath: undefined, ...known };
}

async function runWith(
  plan: Started,
  target: PrivateTarget,
  folder: PrivateFolder,
  io: CommandIo,
): Promise<ProgramEnd> {
  const { program, path, connection, isPristine, templates } = plan;
  const takes = takesDefaultsFile(target.engine, program, plan.args);
  if (takes === "own")
    io.stderr(
      `note: ${program} has a defaults file of its own; it is told of ${connection} by its environment alone\n`,
    );
  const file = takes === "yes" ? unlinkedFile(folder.path, defaultsFileText(target)) : undefined;
  const args = file === undefined ? plan.args : [DEFAULTS_ARGUMENT, ...plan.args];
  const env = programEnvironment(io.env, target, { isPristine, templates, connection });
  try {
    return await runProgram({ path, name: program, args, env, file });
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** A cluster of Aurora DSQL has one. */
const DEFAULT_DATABASES: Partial<Record<BackendEngine, string>> = { dsql: "postgres" };

/** The program's descriptor 3. */
const DEFAULTS_ARGUMENT = "--defaults-file=/dev/fd/3";

function describe(plan: Started, { listener, database }: ReachedConnection, io: CommandIo): number {
  const { account, backend } = listener;
  const takes = takesDefaultsFile(backend.engine, plan.program, plan.args) === "yes";
  const words = [plan.path, ...(takes ? [DEFAULTS_ARGUMENT] : []), ...plan.args];
  const lines = [
    `connection  ${plan.connection}`,
    `server      ${backend.host}:${backend.port}, tls ${backend.tlsMode}`,
    `user        ${account?.user ?? `${account?.connection} (the server's is in the secret)`}`,
    `password    from ${account?.password.source}`,
    `database    ${database ?? DEFAULT_DATABASES[backend.engine] ?? "none"}`,
    `listens on  ${plan.tcpPort === undefined ? "a private unix socket" : `127.0.0.1:${plan.tcpPort || "any port"}`}`,
    `program     ${words.map((word) => JSON.stringify(word)).join(" ")}`,
  ];
  io.stdout(`${lines.join("\n")}\n`);
  return EXIT_OK;
}
