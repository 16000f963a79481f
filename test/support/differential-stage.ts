/** The stage of the session differential: a real server, querycop under a policy before it, and what is denied. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ServerKind } from "./accounts.ts";
import { plaintextBackend } from "./backend-settings.ts";
import { STORED_CHANGES } from "./differential-changes.ts";
import type { SessionList } from "./differential-lists.ts";
import { ListSession, MARKS, NO_LOGIN, type Outcome, PASSWORD } from "./differential-session.ts";
import { type Querycop, startQuerycop } from "./querycop.ts";
import { RawClient } from "./raw-client.ts";
import { startServer, type TestServer } from "./servers.ts";

const ANSWER_TIMEOUT_MS = 20_000;

/** Texts of differential-probes.ts that no state makes harmless. The stage's own watching does not look like them. */
const DENIED =
  /^(?:DROP DATABASE cy\d|TRUNCATE TABLE cy\d|(?:DELETE FROM|UPDATE|INSERT INTO) cy\d\.c (?:SET|VALUES \(9\))|SELECT (?:data|password|note) FROM qc\d\.\w+$)/;

/** What lists may leave behind for each other. */
const LEFTOVERS = [
  ["PROCEDURE", "np"],
  ["FUNCTION", "nf"],
  ["VIEW", "nv"],
  ["TABLE", "nt"],
] as const;

export const guardedOf = (worker: number): string => `qc${worker}`;
export const freeOf = (worker: number): string => `fr${worker}`;
export const canaryOf = (worker: number): string => `cy${worker}`;

function schemaOf(schema: string, [secret, password, other]: readonly string[]): string[] {
  return [
    `DROP DATABASE IF EXISTS ${schema}`,
    `CREATE DATABASE ${schema} CHARACTER SET utf8mb4`,
    `CREATE TABLE ${schema}.secret (id INT PRIMARY KEY, data VARCHAR(60))`,
    `CREATE TABLE ${schema}.member (id INT PRIMARY KEY, login VARCHAR(60), password VARCHAR(60))`,
    `CREATE TABLE ${schema}.orders (id INT PRIMARY KEY, tenant_id INT NOT NULL, total INT, note VARCHAR(60))`,
    `INSERT INTO ${schema}.secret VALUES (1, '${secret}')`,
    `INSERT INTO ${schema}.member VALUES (1, 'ann', '${password}')`,
    `INSERT INTO ${schema}.orders VALUES (1, 7, 70, 'own'), (2, 8, 80, '${other}'), (3, 1, 10, '${other}'), (4, 0, 0, '${other}')`,
  ];
}

/** What a denied effect changes. */
function guardedSetup(worker: number): string[] {
  const canary = canaryOf(worker);
  return [
    ...schemaOf(guardedOf(worker), MARKS),
    `DROP DATABASE IF EXISTS ${canary}`,
    `CREATE DATABASE ${canary} CHARACTER SET utf8mb4`,
    `CREATE TABLE ${canary}.c (n INT)`,
    `INSERT INTO ${canary}.c VALUES (1), (2)`,
  ];
}

function freeSetup(worker: number): string[] {
  const free = freeOf(worker);
  return [
    ...schemaOf(free, ["free", "free", "free"]),
    `CREATE TABLE ${free}.pub (id INT PRIMARY KEY, name VARCHAR(60))`,
    `INSERT INTO ${free}.pub VALUES (1, 'public')`,
    `CREATE PROCEDURE ${free}.out8(OUT a INT) SET a = 8`,
    ...STORED_CHANGES.flatMap((change, index) => [
      `CREATE PROCEDURE ${free}.p${index}() ${change}`,
      `CREATE FUNCTION ${free}.f${index}() RETURNS INT DETERMINISTIC BEGIN ${change}; RETURN 1; END`,
      `CREATE TABLE ${free}.t${index} (a INT)`,
      `CREATE TRIGGER ${free}.g${index} BEFORE INSERT ON ${free}.t${index} FOR EACH ROW ${change}`,
    ]),
  ];
}

/** Everything of a worker that no list may change. */
const watched = (worker: number): string => {
  const [guarded, canary] = [guardedOf(worker), canaryOf(worker)];
  return `SELECT CONCAT_WS('|', (SELECT CONCAT(COUNT(*), ':', SUM(n)) FROM ${canary}.c),
    (SELECT GROUP_CONCAT(tenant_id, ':', total, ':', note) FROM ${guarded}.orders WHERE tenant_id <> 7),
    (SELECT GROUP_CONCAT(data) FROM ${guarded}.secret), (SELECT GROUP_CONCAT(password) FROM ${guarded}.member))`;
};

function policyOf(workers: number): string {
  const all = Array.from({ length: workers }, (_, worker) => worker);
  const names = (name: (worker: number) => string): string => `[${all.map(name).join(", ")}]`;
  const tables = names((worker) => `${guardedOf(worker)}.secret, ${canaryOf(worker)}.c`);
  return `version: 1
rule_sets: { injection: off, obfuscation: off, hygiene: off, recon: off }
multi_statements: true
deny:
  statements: [drop-schema]
  tables: ${tables}
  columns: ${names((worker) => `${guardedOf(worker)}.member.password`)}
tenants:
  - { tables: ${names((worker) => `${guardedOf(worker)}.orders`)}, column: tenant_id, value: 7 }
profiles:
  - name: reader
    match: { users: [reader] }
    read_only: true
`;
}

export interface StageOptions {
  readonly kind: ServerKind;
  readonly workers: number;
  /** Another executable than the one of these sources. */
  readonly executable?: string | undefined;
}

export class DifferentialStage {
  readonly kind: ServerKind;
  readonly #server: TestServer;
  readonly #querycop: Querycop;
  readonly #policyFolder: string;
  readonly #observers: RawClient[] = [];
  readonly #intact: string[] = [];
  #globalMode = "";

  static async start(options: StageOptions): Promise<DifferentialStage> {
    const { kind, workers, executable } = options;
    const server = await startServer({ kind, options: ["--lock-wait-timeout=1", "--innodb-lock-wait-timeout=1"] });
    const folder = mkdtempSync(join(tmpdir(), "querycop-differential-"));
    writeFileSync(join(folder, "policy.yaml"), policyOf(workers));
    const settings = {
      ...plaintextBackend(server),
      GATEKEEPER_POLICY_FILE: join(folder, "policy.yaml"),
      GATEKEEPER_LOG_LEVEL: "info",
      GATEKEEPER_AUDIT_FILE: undefined,
    };
    const querycop = await startQuerycop(settings, executable === undefined ? {} : { executable });
    const stage = new DifferentialStage(server, querycop, folder);
    await stage.#setUp(workers);
    return stage;
  }

  private constructor(server: TestServer, querycop: Querycop, folder: string) {
    this.kind = server.kind;
    this.#server = server;
    this.#querycop = querycop;
    this.#policyFolder = folder;
  }

  async stop(): Promise<void> {
    for (const observer of this.#observers) observer.reset();
    await this.#querycop.stop();
    await this.#server.stop();
    rmSync(this.#policyFolder, { recursive: true, force: true });
  }

  async #setUp(workers: number): Promise<void> {
    const { admin } = this.#server.accounts;
    assert.ok(admin);
    for (let worker = 0; worker < workers; worker++) {
      const observer = await RawClient.connect(this.#server.host, this.#server.port);
      await observer.login(admin);
      this.#observers.push(observer);
      for (const sql of freeSetup(worker)) await this.#ask(worker, sql);
      await this.restore(worker);
    }
    const [[mode = ""] = []] = await this.#server.rootQuery("SELECT @@GLOBAL.sql_mode");
    this.#globalMode = mode;
    for (const user of ["reader", "writer"]) {
      await this.#ask(0, `CREATE USER ${user} IDENTIFIED BY '${PASSWORD}'`);
      await this.#ask(0, `GRANT ALL ON *.* TO ${user}`);
    }
  }

  async #ask(worker: number, sql: string): Promise<string> {
    const packets = await this.#observers[worker]?.query(sql);
    const last = packets?.at(-1)?.payload;
    assert.ok(packets && last && last[0] !== 0xff, `${sql}: ${last?.toString("latin1")}`);
    return packets.map(({ payload }) => payload.toString("latin1")).join();
  }

  /** Puts back what a worker's lists may have changed. */
  async restore(worker: number): Promise<void> {
    for (const sql of guardedSetup(worker)) await this.#ask(worker, sql);
    this.#intact[worker] = await this.#ask(worker, watched(worker));
  }

  /** The end of what the server wrote to its error log, and of what it was asked. */
  lastWords(): string {
    const asked = this.#server.generalLog().slice(-8);
    const lines = asked.map(({ threadId, command, argument }) => `${threadId} ${command} ${argument}`);
    return [this.#server.errorLog().slice(-6000), ...lines].join("\n");
  }

  /** Entries of the server's log that begin with what is denied in any state. */
  deniedInLog(): string[] {
    const entries = this.#server.generalLog().filter(({ argument }) => DENIED.test(argument));
    return entries.map(({ command, argument }) => `${command} ${argument}`);
  }

  async isIntact(worker: number): Promise<boolean> {
    const now = await this.#ask(worker, watched(worker)).catch(() => "gone");
    return now === this.#intact[worker];
  }

  /** Runs a list in a session of its own. */
  async run(list: SessionList, worker: number, through: "querycop" | "server" = "querycop"): Promise<Outcome> {
    for (const [what, name] of LEFTOVERS) {
      const leftover = `${freeOf(worker)}.${name}`;
      if (!list.steps.some((step) => "text" in step && step.text.includes(leftover))) continue;
      await this.#ask(worker, `DROP ${what} IF EXISTS ${leftover}`);
    }
    const client = await RawClient.connect(
      this.#server.host,
      (through === "server" ? this.#server : this.#querycop).port,
    );
    const timer = setTimeout(() => client.reset(), ANSWER_TIMEOUT_MS);
    const session = new ListSession(client, list.user);
    try {
      if (!(await session.logIn(list))) return NO_LOGIN;
      await session.runAll(list);
    } finally {
      clearTimeout(timer);
      client.reset();
    }
    const isChanged = !(await this.isIntact(worker));
    if (isChanged) await this.restore(worker);
    if (list.steps.some((step) => "text" in step && /GLOBAL/.test(step.text))) {
      await this.#ask(worker, `SET GLOBAL sql_mode = '${this.#globalMode}'`);
    }
    return session.outcome(isChanged);
  }
}
