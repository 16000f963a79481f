/**
 * Lists of messages that change what a PostgreSQL session means by its names and texts, in every way there is, and then send what
 * the change may have made another statement. What is denied is told by its effect: marks in an answer, tables that are otherwise.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import type { FrontendMessage } from "../../src/postgres/frontend-message.ts";
import { PostgresClient, PostgresError } from "./postgres-client.ts";
import { CHANGES, PROBES, type Probe, SETUP, STARTS } from "./postgres-differential-texts.ts";
import type { PostgresServer } from "./postgres-server.ts";
import type { Settings } from "./querycop.ts";

type Random = () => number;

const MARK = "MARK-";

const POLICY = `version: 1
rule_sets: { injection: off, obfuscation: off, hygiene: off, recon: off }
multi_statements: true
deny:
  tables: [guarded.secret, canary.c]
  columns: [guarded.member.password]
tenants:
  - { tables: [guarded.orders], column: tenant_id, value: 7 }
profiles:
  - name: reader
    match: { users: [reader] }
    read_only: true
`;

/** In front of a server without TLS, under POLICY. */
export function differentialSettings(server: PostgresServer, folder: string): Settings {
  const file = join(folder, "policy-differential.yaml");
  writeFileSync(file, POLICY, { mode: 0o600 });
  return {
    GATEKEEPER_BACKEND_ENGINE: "postgresql",
    GATEKEEPER_BACKEND_HOST: "127.0.0.1",
    GATEKEEPER_BACKEND_PORT: String(server.port),
    GATEKEEPER_BACKEND_TLS_MODE: "disable",
    GATEKEEPER_PROXY_TLS_MODE: "off",
    GATEKEEPER_POLICY_FILE: file,
    GATEKEEPER_MAX_CONNECTIONS: "50",
  };
}

/** One thing that a client does. What is sent in one unit has no Sync in front of the last of it. */
export type Step =
  | { readonly do: "query"; readonly sql: string }
  | { readonly do: "parse"; readonly name: string; readonly sql: string }
  | { readonly do: "bind"; readonly portal: string; readonly name: string; readonly values: readonly string[] }
  | { readonly do: "execute"; readonly portal: string; readonly rowsMax: number }
  | { readonly do: "close"; readonly target: "statement" | "portal"; readonly of: string }
  | { readonly do: "sync" };

export interface SessionList {
  readonly user: "app" | "reader";
  readonly settings: Readonly<Record<string, string>>;
  readonly steps: readonly Step[];
  /** All of it is written before an answer is read. */
  readonly isAhead: boolean;
}

const NAMES = ["", "n", "m"] as const;

export class SessionLists {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Several of one user's. */
  batch(size: number): SessionList[] {
    const user = this.#one(["app", "reader"] as const);
    return Array.from({ length: size }, () => this.list(user));
  }

  list(user: SessionList["user"] = this.#one(["app", "reader"])): SessionList {
    const steps: Step[] = [];
    const count = 2 + Math.floor(this.#random() * 6);
    for (let index = 0; index < count; index++) steps.push(...this.#some());
    if (this.#isOften(0.5)) steps.push({ do: "query", sql: this.#one(["COMMIT", "COMMIT AND CHAIN", "END"]) });
    const settings = this.#isOften(0.15) ? this.#one(STARTS) : {};
    return { user, settings, steps, isAhead: this.#isOften(0.4) };
  }

  #one<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.#random() * items.length)] as Item;
  }

  #isOften(share: number): boolean {
    return this.#random() < share;
  }

  /** A change, a probe, or both with the probe begun before the change. */
  #some(): Step[] {
    const chance = this.#random();
    if (chance < 0.3) return this.#run(this.#one(CHANGES));
    if (chance < 0.55) return this.#probe(this.#one(PROBES), []);
    if (chance < 0.9) return this.#probe(this.#one(PROBES), this.#run(this.#one(CHANGES)));
    if (chance < 0.95) return [{ do: "sync" }];
    return [{ do: "query", sql: `${this.#one(CHANGES)}; ${this.#one(CHANGES)}; ${this.#one(PROBES).sql}` }];
  }

  #sync(): Step[] {
    return this.#isOften(0.6) ? [{ do: "sync" }] : [];
  }

  /** A text of its own, by the one protocol or the other. */
  #run(sql: string): Step[] {
    if (this.#isOften(0.6) || sql.includes(";")) return [{ do: "query", sql }];
    return [
      { do: "parse", name: "", sql },
      { do: "bind", portal: "", name: "", values: [] },
      { do: "execute", portal: "", rowsMax: 0 },
      ...this.#sync(),
    ];
  }

  #probe({ sql, values = [], literal }: Probe, change: readonly Step[]): Step[] {
    const name = this.#one(NAMES);
    const portal = this.#one(["", "p", "c"]);
    const typed = values.map((value) => `'${value}'`).join(", ");
    const call = values.length === 0 ? "" : `(${typed})`;
    const whole = literal ?? sql;
    const changed = change.flatMap((step) => (step.do === "query" ? [step.sql] : []))[0] ?? "SELECT 1";
    const named = name === "" ? "n" : name;
    const prepare = `PREPARE ${named} AS ${sql}`;
    const bind: Step = { do: "bind", portal, name, values };
    const execute: Step = { do: "execute", portal, rowsMax: this.#one([0, 0, 1]) };
    const forms: readonly (() => Step[])[] = [
      () => [...change, ...this.#run(whole)],
      () => [...change, { do: "query", sql: `${changed}; ${whole}` }],
      () => [{ do: "parse", name, sql }, ...this.#sync(), ...change, bind, execute, ...this.#sync()],
      () => [{ do: "parse", name, sql }, bind, ...this.#sync(), ...change, execute, ...this.#sync()],
      () => [
        { do: "parse", name: named, sql },
        { do: "sync" },
        ...change,
        { do: "query", sql: `EXECUTE ${named}${call}` },
      ],
      () => [{ do: "query", sql: prepare }, ...change, { do: "query", sql: `EXECUTE ${named}${call}` }],
      () => [{ do: "query", sql: `${prepare}; ${changed}; EXECUTE ${named}${call}` }],
      () => [{ do: "query", sql: `${prepare}; EXECUTE ${named}${call}` }],
      () => [{ do: "query", sql: prepare }, ...change, { ...bind, name: named }, execute, { do: "sync" }],
      () => [
        { do: "query", sql: `BEGIN; DECLARE c CURSOR FOR ${whole}` },
        ...change,
        { do: "query", sql: "FETCH ALL FROM c" },
      ],
      () => [{ do: "query", sql: `BEGIN; ${changed}; DECLARE c CURSOR FOR ${whole}; FETCH ALL FROM c` }],
      () => [{ do: "parse", name, sql }, bind, { do: "query", sql: `FETCH ALL FROM ${portal === "" ? "c" : portal}` }],
      () => [...change, { do: "query", sql: `DO $x$ BEGIN EXECUTE '${whole.replaceAll("'", "''")}'; END $x$` }],
      () => [...change, { do: "query", sql: `COPY (${whole}) TO STDOUT` }],
      () => [...change, { do: "query", sql: `EXPLAIN ANALYZE ${whole}` }],
      () => [...change, { do: "query", sql: `SELECT query_to_xml('${whole.replaceAll("'", "''")}', true, true, '')` }],
      () => [{ do: "query", sql: `SAVEPOINT s; ${changed}; ROLLBACK TO s; ${whole}` }],
      () => [
        { do: "query", sql: `BEGIN; SAVEPOINT s; ${changed}; SELECT 1/0` },
        { do: "query", sql: `ROLLBACK TO s; ${whole}` },
      ],
      () => [
        { do: "close", target: "statement", of: name },
        { do: "parse", name, sql },
        ...change,
        bind,
        execute,
        { do: "sync" },
      ],
    ];
    return this.#one(forms)();
  }
}

function messagesOf(step: Step): FrontendMessage[] {
  switch (step.do) {
    case "query":
      return [
        { name: "Query", sql: encodeUtf8(step.sql) },
        ...(/FROM STDIN/i.test(step.sql)
          ? ([{ name: "CopyData", data: encodeUtf8("9\n") }, { name: "CopyDone" }] as const)
          : []),
      ];
    case "parse":
      return [{ name: "Parse", statement: step.name, sql: encodeUtf8(step.sql), parameterTypes: [] }];
    case "bind":
      return [
        {
          name: "Bind",
          portal: step.portal,
          statement: step.name,
          parameterFormats: [],
          values: step.values.map((value) => encodeUtf8(value)),
          resultFormats: [],
        },
      ];
    case "execute":
      return [{ name: "Execute", portal: step.portal, rowsMax: step.rowsMax }];
    case "close":
      return [{ name: "Close", target: step.target, of: step.of }];
    default:
      return [{ name: "Sync" }];
  }
}

export type Outcome = "nothing" | "read" | "not begun" | "lost";

/** A server with the tables, roles and functions of the lists, and a watch over what none of them may change. */
export class DifferentialStage {
  readonly #observer: PostgresClient;
  #intact: readonly [string, string] = ["", ""];

  private constructor(observer: PostgresClient) {
    this.#observer = observer;
  }

  static async on(server: PostgresServer): Promise<DifferentialStage> {
    const stage = new DifferentialStage(await PostgresClient.logIn({ port: server.port, user: "postgres" }));
    await stage.#restore();
    return stage;
  }

  close(): void {
    this.#observer.close();
  }

  async #restore(): Promise<void> {
    await this.#observer.query("DROP SCHEMA IF EXISTS made CASCADE");
    for (const sql of SETUP.split("\n\n")) await this.#observer.query(sql);
    this.#intact = await this.#state();
  }

  /** What no list may change, and of readers everything. */
  async #state(): Promise<readonly [string, string]> {
    const guarded = await this.#observer.query(
      `SELECT (SELECT count(*) || ':' || sum(n) FROM canary.c), (SELECT string_agg(o::text, ',') FROM guarded.orders o),
         (SELECT string_agg(s::text, ',') FROM guarded.secret s), (SELECT string_agg(m::text, ',') FROM guarded.member m)`,
    );
    const all = await this.#observer.query(
      `SELECT (SELECT string_agg(p::text, ',') FROM free.pub p), (SELECT last_value FROM free.numbers),
         (SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text !~ '^pg_'),
         (SELECT count(*) FROM pg_proc WHERE pronamespace::regnamespace::text !~ '^pg_temp'),
         (SELECT string_agg(s::text, ',') FROM pg_db_role_setting s)`,
    );
    return [JSON.stringify(guarded), JSON.stringify(all)];
  }

  /** Whether what none of these lists may change is as it was; it is made so again. */
  async isIntact(lists: readonly SessionList[]): Promise<boolean> {
    const [guarded, all] = await this.#state();
    const isClean = guarded === this.#intact[0] && all === this.#intact[1];
    if (isClean) return true;
    await this.#restore();
    return guarded === this.#intact[0] && lists.some(({ user }) => user === "app");
  }

  async run(port: number, { user, settings, steps, isAhead }: SessionList): Promise<Outcome> {
    let client: PostgresClient;
    try {
      client = await PostgresClient.logIn({ port, user, database: "postgres", settings });
    } catch (thrown) {
      if (thrown instanceof PostgresError) return "not begun";
      throw thrown;
    }
    let outcome: Outcome = "nothing";
    const take = (said: string | undefined): void => {
      if (said?.includes(MARK)) outcome = "read";
      else if (said === undefined && outcome === "nothing") outcome = "lost";
    };
    try {
      const messages = steps.map(messagesOf);
      if (isAhead) client.send(...messages.flat());
      else {
        for (const each of messages) {
          client.send(...each);
          if (each[0]?.name === "Query") take(await answerTo(client));
        }
      }
      take(await answerTo(client));
      client.send({ name: "Query", sql: encodeUtf8("ROLLBACK") });
      take(await answerTo(client));
    } finally {
      client.close();
    }
    return outcome;
  }
}

const CLOSE: FrontendMessage = { name: "Close", target: "statement", of: "none of this name" };
const SYNC: FrontendMessage = { name: "Sync" };

/**
 * All that is said up to an answer that no list asks for, and that comes in every state; undefined where the session has ended
 * and has not said what it may not.
 */
async function answerTo(client: PostgresClient): Promise<string | undefined> {
  client.send(SYNC, CLOSE, CLOSE, CLOSE, SYNC);
  let said = "";
  for (let closed = 0; ; ) {
    const piece = await client.next();
    if (piece === undefined) return said.includes(MARK) ? said : undefined;
    const { type } = piece;
    if (type === 0x5a && closed >= 3) return said;
    closed = type === 0x33 ? closed + 1 : 0;
    said += Buffer.from(piece.kind === "message" ? piece.body : piece.wire).toString("latin1");
  }
}
