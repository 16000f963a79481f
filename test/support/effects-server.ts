/**
 * What a real server does with a text, from the server's own instruments: which statements it split the text into and
 * of which kind, which tables it locked and touched, which routines it ran, what is different afterwards.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ServerKind } from "./accounts.ts";
import { OTHER_SCHEMA, PROBER, SCHEMA, setupStatements, stateQueries } from "./effects-scratch.ts";
import { CAPABILITY, RawClient, type WirePacket } from "./raw-client.ts";
import { startServer, type TestServer } from "./servers.ts";

export interface ServerStatement {
  /** The server's name of the kind: select, insert_select, error … */
  readonly kind: string;
  readonly errorNumber: number;
  readonly message: string;
  /** 0 for statements of the text, more for those of stored code. */
  readonly level: number;
}

export interface TouchedTable {
  /** schema.table */
  readonly name: string;
  readonly isTemporary: boolean;
  readonly isRead: boolean;
  readonly isLockedForWrite: boolean;
  /** Rows were inserted, updated or deleted. */
  readonly isChanged: boolean;
}

export interface Observation {
  /** The server did not answer in time and was interrupted, or the connection was lost. */
  readonly isCutOff: boolean;
  readonly statements: readonly ServerStatement[];
  readonly tables: readonly TouchedTable[];
  /** `FUNCTION qc1.f1` and the like: the stored code that ran. */
  readonly programs: readonly string[];
  /** `table qc1.t1` and the like: what is otherwise than before, gone or new. */
  readonly changes: readonly string[];
  readonly sessionVariables: readonly string[];
  readonly globalVariables: readonly string[];
  readonly userVariables: readonly string[];
  readonly preparedStatements: readonly string[];
  readonly userLocks: readonly string[];
  /** Files written below the server's folder. */
  readonly files: readonly string[];
  readonly hasSlept: boolean;
  readonly schema: string;
}

const COM_PING = 0x0e;
const ANSWER_TIMEOUT_MS = 1500;
const CHANGES_UNTIL_RESET = 40;
/** Without these most texts are refused. */
const MAIN_TABLES = ["t1", "t2", "t3"];

const INSTRUMENTS = [
  ...[
    "waits-current",
    "waits-history-long",
    "statements-current",
    "statements-history-long",
    "stages-current",
    "stages-history-long",
  ].map((name) => `--performance-schema-consumer-events-${name}=ON`),
  "--performance-schema-instrument=statement/%=ON",
  "--performance-schema-instrument=wait/%=OFF",
  "--performance-schema-instrument=wait/lock/metadata/sql/mdl=ON",
  "--performance-schema-instrument=wait/lock/table/sql/handler=ON",
  "--performance-schema-instrument=wait/io/table/sql/handler=ON",
  "--performance-schema-instrument=stage/%=OFF",
  "--performance-schema-instrument=stage/sql/User sleep=ON",
];

const SERVER_OPTIONS = [
  "--performance-schema=ON",
  ...INSTRUMENTS,
  "--event-scheduler=OFF",
  "--general-log=0",
  "--lock-wait-timeout=1",
  "--innodb-lock-wait-timeout=1",
  "--group-concat-max-len=1000000",
];

/** Statements of these kinds change rows and nothing else, which the instruments tell. */
const PLAIN =
  /^(?:select|error|insert|insert_select|replace|replace_select|update|update_multi|delete|delete_multi|show_.*|do|checksum|help|empty_query|commit|rollback|savepoint|stmt|freturn|jump.*|set_case_expr|.*push.*|.*pop.*)$/;
/** Differ from one moment to the next. */
const VOLATILE =
  /^(?:timestamp|last_insert_id|identity|insert_id|rand_seed\d|pseudo_.*|warning_count|error_count|statement_id|gtid_.*|last_gtid|in_transaction|innodb_.*(?:status|progress).*|proxy_user|external_user|skip_parallel_replication|in_predicate_conversion_threshold_x|uptime.*|resultset_metadata_x|error_log_.*|wsrep_.*|system_versioning_asof_x)$/;

/** The cells of every row of every result set. NULL is "NULL". */
function rowsOf(packets: readonly WirePacket[]): string[][] {
  const rows: string[][] = [];
  let columns = 0;
  for (const { payload } of packets) {
    if (columns < 0) {
      if (payload[0] === 0xfe && payload.length < 0xffffff) columns = 0;
      else if (payload[0] !== 0xff) rows.push(cellsOf(payload));
    } else if (columns > 0) {
      columns -= 1;
      if (columns === 0) columns = -1;
    } else if (payload[0] !== 0 && payload[0] !== 0xff) columns = payload[0] ?? 0;
  }
  return rows;
}

function cellsOf(payload: Buffer): string[] {
  const cells: string[] = [];
  for (let at = 0; at < payload.length; ) {
    const first = payload[at] ?? 0;
    const width = first === 0xfc ? 2 : first === 0xfd ? 3 : 0;
    const length = width === 0 ? first : payload.readUIntLE(at + 1, width);
    at += 1 + width;
    if (first === 0xfb) cells.push("NULL");
    else {
      cells.push(payload.toString("utf8", at, at + length));
      at += length;
    }
  }
  return cells;
}

function connectionFailed(packets: readonly WirePacket[], sql: string): void {
  const { payload } = packets.at(-1) ?? {};
  assert.ok(payload !== undefined && payload[0] !== 0xff, `${sql.slice(0, 200)}: ${payload?.toString("latin1", 3)}`);
}

/** The instruments note the end of a statement after its answer, and before the answer to the next command. */
async function settle(client: RawClient): Promise<void> {
  client.writeCommand(COM_PING);
  await client.readPacket();
}

/** One real server with the scratch schemas. Runs texts one after another as a client of its own would. */
export class EffectsServer {
  readonly kind: ServerKind;
  readonly #server: TestServer;
  readonly #outFolder: string;
  readonly #observer: RawClient;
  #prober: RawClient | undefined;
  #threadId = 0;
  #mode = "";
  #state = new Map<string, string>();
  #sessionVariables = new Map<string, string>();
  #globalVariables = new Map<string, string>();
  #globalsSum = "";
  #changes = 0;
  /** Schemas and accounts that were there first. */
  readonly #own = new Set<string>();

  static async start(kind: ServerKind): Promise<EffectsServer> {
    const server = await startServer({ kind, options: SERVER_OPTIONS });
    const observer = await RawClient.connect(server.host, server.port);
    const { admin } = server.accounts;
    assert.ok(admin);
    await observer.login(admin);
    const effects = new EffectsServer(server, observer);
    await effects.#ask("SET sql_mode = ''");
    await effects.#ask("USE mysql");
    effects.#state = await effects.#readState();
    await effects.reset();
    return effects;
  }

  private constructor(server: TestServer, observer: RawClient) {
    this.kind = server.kind;
    this.#server = server;
    this.#observer = observer;
    this.#outFolder = join(server.folder, "out");
    mkdirSync(this.#outFolder);
  }

  /** A folder that the server may write files to. */
  get outFolder(): string {
    return this.#outFolder;
  }

  /** The end of what the server wrote to its error log: where a text was too much for it, it says so there. */
  errorLog(): string {
    return this.#server.errorLog().slice(-3000);
  }

  async stop(): Promise<void> {
    this.#prober?.reset();
    this.#observer.reset();
    await this.#server.stop();
  }

  /** Texts run under this sql_mode from now on. */
  async useMode(mode: string): Promise<void> {
    this.#mode = mode;
    await this.#reconnect();
    this.#sessionVariables = await this.#variables(this.#connected(), "SESSION");
  }

  async #ask(sql: string): Promise<string[][]> {
    const packets = await this.#observer.query(sql);
    connectionFailed(packets, sql);
    return rowsOf(packets);
  }

  /** Puts the scratch schemas, the accounts and the settings back. */
  async reset(): Promise<void> {
    this.#prober?.quit();
    this.#prober = undefined;
    await this.#restoreGlobals();
    // A schema that a text made read-only cannot be dropped.
    if (this.kind === "mysql") {
      for (const name of [SCHEMA, OTHER_SCHEMA, "qc3"])
        await this.#observer.query(`ALTER SCHEMA ${name} READ ONLY = 0`);
    }
    await this.#dropStrangers();
    for (const sql of setupStatements(this.kind)) await this.#ask(sql);
    this.#state = await this.#readState();
    this.#globalVariables = await this.#variables(this.#observer, "GLOBAL");
    this.#changes = 0;
    this.#globalsSum = await this.#sumOfGlobals();
    await this.useMode(this.#mode);
  }

  #connected(): RawClient {
    assert.ok(this.#prober);
    return this.#prober;
  }

  /** One number for all global variables, which costs less than to read them. */
  async #sumOfGlobals(): Promise<string> {
    const from = this.kind === "mysql" ? "performance_schema" : "information_schema";
    const rows = await this.#ask(
      `SELECT SUM(CRC32(CONCAT(VARIABLE_NAME, '=', VARIABLE_VALUE))) FROM ${from}.global_variables WHERE LOWER(VARIABLE_NAME) NOT REGEXP '${VOLATILE.source.replaceAll("\\d", "[0-9]").replaceAll("?:", "")}'`,
    );
    return rows[0]?.[0] ?? "";
  }

  /** Schemas and accounts that texts made under names of their own. */
  async #dropStrangers(): Promise<void> {
    const names = (what: string): string[] =>
      [...this.#state.keys()].filter((key) => key.startsWith(`${what} `)).map((key) => key.slice(what.length + 1));
    const isFirst = this.#own.size === 0;
    for (const what of ["schema", "account"]) {
      for (const name of names(what)) {
        if (isFirst) this.#own.add(`${what} ${name}`);
        else if (!this.#own.has(`${what} ${name}`) && name !== "PUBLIC@") await this.#drop(what, name);
      }
    }
  }

  async #drop(what: string, name: string): Promise<void> {
    if (what === "schema") return void (await this.#ask(`DROP SCHEMA IF EXISTS \`${name.replaceAll("`", "``")}\``));
    const at = name.lastIndexOf("@");
    const quoted = `'${name.slice(0, at).replaceAll("'", "''")}'@'${name.slice(at + 1)}'`;
    await this.#ask(`DROP USER IF EXISTS ${quoted}`);
    if (this.kind !== "mysql" && name.endsWith("@")) await this.#ask(`DROP ROLE IF EXISTS \`${name.slice(0, at)}\``);
  }

  async #restoreGlobals(): Promise<void> {
    if (this.#globalVariables.size === 0) return;
    const now = await this.#variables(this.#observer, "GLOBAL");
    for (const name of differences(this.#globalVariables, now)) {
      const value = this.#globalVariables.get(name) ?? "";
      const literal = /^-?[\d.]+$/.test(value) ? value : `'${value.replaceAll("'", "''")}'`;
      const packets = await this.#observer.query(`SET GLOBAL ${name} = ${literal}`);
      if (packets.at(-1)?.payload[0] === 0xff) await this.#observer.query(`SET GLOBAL ${name} = DEFAULT`);
    }
    if (this.kind === "mysql") await this.#ask("RESET PERSIST");
  }

  async #reconnect(): Promise<void> {
    this.#prober?.quit();
    const prober = await RawClient.connect(this.#server.host, this.#server.port);
    await prober.login({ ...PROBER, moreCapabilities: CAPABILITY.MULTI_STATEMENTS });
    this.#prober = prober;
    const limit = this.kind === "mysql" ? "max_execution_time = 300" : "max_statement_time = 0.3";
    for (const sql of [`USE ${SCHEMA}`, "SET NAMES utf8mb4", `SET SESSION sql_mode = '${this.#mode}', ${limit}`]) {
      connectionFailed(await prober.query(sql), sql);
    }
    const [[threadId] = []] = await this.#ask(
      `SELECT THREAD_ID FROM performance_schema.threads WHERE PROCESSLIST_ID = ${prober.greeting?.connectionId}`,
    );
    this.#threadId = Number(threadId);
    await settle(prober);
  }

  async #variables(client: RawClient, scope: "SESSION" | "GLOBAL"): Promise<Map<string, string>> {
    const rows = rowsOf(await client.query(`SHOW ${scope} VARIABLES`));
    await settle(client);
    return new Map(rows.filter(([name = ""]) => !VOLATILE.test(name)).map(([name = "", value = ""]) => [name, value]));
  }

  async #readState(): Promise<Map<string, string>> {
    const state = new Map<string, string>();
    for (const sql of stateQueries(this.kind)) {
      for (const [what = "", name = "", value = ""] of await this.#ask(sql)) {
        const key = `${what} ${name}`;
        state.set(key, (state.get(key) ?? "") + value);
      }
    }
    return state;
  }

  /** Runs the text and says what it did. */
  async observe(sql: Uint8Array): Promise<Observation> {
    for (const table of [
      "events_statements_history_long",
      "events_waits_history_long",
      "events_stages_history_long",
      "events_statements_summary_by_program",
    ]) {
      await this.#ask(`TRUNCATE performance_schema.${table}`);
    }
    const isCutOff = await this.#run(sql);
    const statements = await this.#statements();
    const kinds = statements.map(({ kind }) => kind);
    const isPlain = kinds.every((kind) => PLAIN.test(kind));
    const left = isCutOff ? NOTHING_LEFT : await this.#leftInSession(isPlain).catch(() => this.#lost());
    const observation: Observation = {
      isCutOff,
      statements,
      tables: await this.#tables(),
      programs: await this.#programs(),
      hasSlept:
        (
          await this.#ask(
            `SELECT 1 FROM performance_schema.events_stages_history_long WHERE THREAD_ID = ${this.#threadId} LIMIT 1`,
          )
        ).length > 0,
      ...left,
      files: this.#takeFiles(),
      ...(await this.#leftOnServer(isPlain, isCutOff)),
    };
    return observation;
  }

  async #leftOnServer(isPlain: boolean, isCutOff: boolean): Promise<Pick<Observation, "changes" | "globalVariables">> {
    if (isPlain && !isCutOff) return { changes: [], globalVariables: [] };
    // What the session still holds would make the look at the server wait.
    this.#prober?.quit();
    this.#prober = undefined;
    const state = await this.#readState();
    const isSet = (await this.#sumOfGlobals()) !== this.#globalsSum;
    const globals = isSet ? await this.#variables(this.#observer, "GLOBAL") : this.#globalVariables;
    const changes = differences(this.#state, state);
    const globalVariables = differences(this.#globalVariables, globals);
    this.#state = state;
    if (changes.length > 0) this.#changes++;
    const isProgram = changes.some((change) => /^(?:view|routine|trigger|schema|account|grant|server) /.test(change));
    const isBroken = MAIN_TABLES.some((name) => !state.has(`table ${SCHEMA}.${name}`));
    if (globalVariables.length > 0 || isProgram || isBroken || this.#changes >= CHANGES_UNTIL_RESET) await this.reset();
    else await this.#reconnect();
    return { changes, globalVariables };
  }

  /** True when the answer did not come in time or the connection ended. */
  async #run(sql: Uint8Array): Promise<boolean> {
    const prober = this.#connected();
    let isCutOff = false;
    let killed: Promise<unknown> | undefined;
    const timer = setTimeout(() => {
      isCutOff = true;
      killed = this.#observer.query(`KILL ${prober.greeting?.connectionId}`);
    }, ANSWER_TIMEOUT_MS);
    try {
      await prober.query(sql);
      await settle(prober);
    } catch {
      isCutOff = true;
    } finally {
      clearTimeout(timer);
    }
    await killed;
    return isCutOff;
  }

  async #statements(): Promise<ServerStatement[]> {
    const rows = await this.#ask(
      `SELECT EVENT_NAME, MYSQL_ERRNO, MESSAGE_TEXT, NESTING_EVENT_LEVEL FROM performance_schema.events_statements_history_long WHERE THREAD_ID = ${this.#threadId} AND EVENT_NAME NOT LIKE 'statement/com/%' ORDER BY EVENT_ID`,
    );
    return rows.map(([name = "", errorNumber, message = "", level]) => ({
      kind: name.replace(/^statement\/(?:sql|sp|scheduler)\//, ""),
      errorNumber: Number(errorNumber),
      message,
      level: Number(level),
    }));
  }

  async #tables(): Promise<TouchedTable[]> {
    const rows = await this.#ask(
      `SELECT CONCAT(OBJECT_SCHEMA, '.', OBJECT_NAME), GROUP_CONCAT(DISTINCT OPERATION), MAX(OBJECT_TYPE = 'TEMPORARY TABLE') FROM performance_schema.events_waits_history_long WHERE THREAD_ID = ${this.#threadId} AND OBJECT_NAME IS NOT NULL AND OBJECT_SCHEMA <> 'mysql' GROUP BY OBJECT_SCHEMA, OBJECT_NAME`,
    );
    return rows.map(([name = "", operations = "", isTemporary]) => ({
      name,
      isTemporary: isTemporary === "1",
      isRead: /read external|fetch/.test(operations),
      isLockedForWrite: operations.includes("write external"),
      isChanged: /insert|update|delete/.test(operations),
    }));
  }

  async #programs(): Promise<string[]> {
    const rows = await this.#ask(
      "SELECT CONCAT(OBJECT_TYPE, ' ', OBJECT_SCHEMA, '.', OBJECT_NAME) FROM performance_schema.events_statements_summary_by_program WHERE COUNT_STAR > 0",
    );
    return rows.map(([name = ""]) => name);
  }

  async #leftInSession(
    isPlain: boolean,
  ): Promise<
    Omit<
      Observation,
      "isCutOff" | "statements" | "tables" | "programs" | "changes" | "globalVariables" | "files" | "hasSlept"
    >
  > {
    const prober = this.#connected();
    const thread = this.#threadId;
    const rows = await this.#ask(
      `SELECT 'u', VARIABLE_NAME FROM performance_schema.user_variables_by_thread WHERE THREAD_ID = ${thread}
       UNION ALL SELECT 'p', STATEMENT_NAME FROM performance_schema.prepared_statements_instances WHERE OWNER_THREAD_ID = ${thread} AND STATEMENT_NAME IS NOT NULL
       UNION ALL SELECT 'l', OBJECT_NAME FROM performance_schema.metadata_locks WHERE OWNER_THREAD_ID = ${thread} AND OBJECT_TYPE = 'USER LEVEL LOCK'
       UNION ALL SELECT 's', PROCESSLIST_DB FROM performance_schema.threads WHERE THREAD_ID = ${thread}`,
    );
    const of = (what: string): string[] => rows.filter(([key]) => key === what).map(([, name = ""]) => name);
    const now = isPlain ? this.#sessionVariables : await this.#variables(prober, "SESSION");
    // Limits such as max_join_size and sql_select_limit hold for the question itself: then there is no answer to it.
    const isAnswered = now.size > this.#sessionVariables.size / 2;
    const sessionVariables = isAnswered ? differences(this.#sessionVariables, now) : [];
    const left = {
      sessionVariables,
      userVariables: of("u"),
      preparedStatements: of("p"),
      userLocks: of("l"),
      schema: of("s")[0] === SCHEMA ? SCHEMA : await this.#schemaNow(prober),
    };
    const isMarked = left.userVariables.length + left.preparedStatements.length + left.userLocks.length > 0;
    if (isPlain && isMarked) await this.#reconnect();
    return left;
  }

  /** The text ended its own connection, as COMMIT RELEASE does. */
  async #lost(): Promise<typeof NOTHING_LEFT> {
    await this.#reconnect();
    return NOTHING_LEFT;
  }

  /** The instruments say of a thread what one that works for it has. */
  async #schemaNow(prober: RawClient): Promise<string> {
    const [[schema = ""] = []] = rowsOf(await prober.query("SELECT DATABASE()"));
    await settle(prober);
    return schema;
  }

  /** Files that texts wrote, where the server's folder for them and its schemas are. */
  #takeFiles(): string[] {
    const folders = [
      this.#outFolder,
      ...[SCHEMA, OTHER_SCHEMA, "qc3"].map((name) => join(this.#server.folder, "data", name)),
    ];
    const files = folders.flatMap((folder) => listed(folder).map((name) => join(folder, name)));
    const written = files.filter((file) => !SERVER_FILE.test(file));
    for (const file of written) rmSync(file, { force: true });
    return written;
  }

  /** Makes an ordinary table of this name, where there is none and the schema is one of the scratch schemas. */
  async ensureTable(schema: string, table: string): Promise<boolean> {
    if (schema !== SCHEMA && schema !== OTHER_SCHEMA) return false;
    const name = `${schema}.\`${table.replaceAll("`", "``")}\``;
    const packets = await this.#observer.query(`CREATE TABLE ${name} LIKE ${SCHEMA}.t1`);
    if (packets.at(-1)?.payload[0] === 0xff) return false;
    this.#state = await this.#readState();
    return true;
  }
}

const SERVER_FILE = /\.(?:ibd|frm|sdi|MY[DI]|MAI|MAD|par|opt|TRG|TRN|isl|MRG|CS[VM]|ARZ|BAK|cfg|TMD)$|#/;

function listed(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

const NOTHING_LEFT = { sessionVariables: [], userVariables: [], preparedStatements: [], userLocks: [], schema: SCHEMA };

function differences(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  const keys = new Set([...before.keys(), ...after.keys()]);
  return [...keys].filter((key) => before.get(key) !== after.get(key));
}
