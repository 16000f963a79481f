/** A load from its sources to its end: what is done in which order, so that the table has the old rows or the new ones. */
import { createHash } from "node:crypto";
import type { ConnectionLoads } from "../base/load-rule.ts";
import { s3Text } from "../base/s3-uri.ts";
import { enterLedger, isInLedger, openLedger } from "./ledger.ts";
import { findCleared, type LoadApproval } from "./load-approval.ts";
import { type LoadClient, StatementRefused } from "./load-client.ts";
import { LoadFailure } from "./load-failure.ts";
import type { AllowedObject } from "./load-objects.ts";
import type { LoadPlan } from "./load-plan.ts";
import { type LoadReport, type ObjectReport, objectReport } from "./load-report.ts";
import { loadObject } from "./object-load.ts";
import type { S3Store } from "./s3-store.ts";
import { loadObjectThere, requireAurora } from "./server-load.ts";
import { quotedTable, type TableName } from "./sql-words.ts";
import { whyNot } from "./table-checks.ts";
import { type TableFacts, tableFacts } from "./table-facts.ts";
import { refuseWarnings, WARNINGS_KEPT_MAX } from "./warnings.ts";

export interface LoadProgress {
  readonly phase: "finding" | "checking" | "begun" | "loading" | "loaded" | "ending" | "ended";
  /** Counted from 1. */
  readonly object?: number;
  readonly objects?: number;
  /** Of all objects, packed. */
  readonly bytes?: number;
  readonly bytesTotal?: number;
}

export interface LoadSetup {
  readonly plan: LoadPlan;
  readonly rules: ConnectionLoads;
  readonly store: S3Store;
  readonly openClient: () => Promise<LoadClient>;
  /** An object has been sent and counted; before the end of the load. Throws where it cannot be recorded. */
  readonly recordObject: (object: ObjectReport, report: LoadReport) => void | Promise<void>;
  readonly onProgress: (progress: LoadProgress) => void;
  readonly signal: AbortSignal;
  /** Where an approval is to be asked for before anything changes. */
  readonly approval?: LoadApproval | undefined;
}

const LOCK_WAIT_S = 10;
/** How long the end of the session that was lost is waited for. */
const SETTLE_WAIT_S = 60;

/** Never rejects for what a load can meet. */
export async function runLoad(setup: LoadSetup): Promise<{ readonly report: LoadReport; readonly exitCode: number }> {
  const { plan } = setup;
  const report: LoadReport = {
    outcome: "unchanged",
    target: `${plan.target.schema}.${plan.target.table}`,
    mode: plan.mode,
    via: plan.via,
    objects: [],
    remarks: [],
    retries: 0,
  };
  let exitCode = EXIT_CODES.failed;
  try {
    await new Load(setup, report).run();
    exitCode = EXIT_CODES.done;
  } catch (thrown) {
    report.why = thrown instanceof Error ? thrown.message : String(thrown);
    const end = thrown instanceof LoadFailure ? thrown.end : "failed";
    if (end === "unknown") report.outcome = "unknown";
    exitCode = EXIT_CODES[end];
  }
  report.retries = setup.store.retries;
  setup.onProgress({ phase: "ended" });
  return { report, exitCode };
}

const EXIT_CODES = { done: 0, failed: 1, missing: 3, unknown: 4 };

class Load {
  readonly #setup: LoadSetup;
  readonly #plan: LoadPlan;
  readonly #report: LoadReport;
  #objects: readonly AllowedObject[] = [];
  #bytesBefore = 0;

  constructor(setup: LoadSetup, report: LoadReport) {
    this.#setup = setup;
    this.#plan = setup.plan;
    this.#report = report;
  }

  async run(): Promise<void> {
    const { onProgress } = this.#setup;
    onProgress({ phase: "finding" });
    const { objects, missing } = await findCleared(this.#setup);
    this.#objects = objects;
    this.#report.objects.push(
      ...objects.map(({ object }) => objectReport(object)),
      ...missing.map((address): ObjectReport => ({ uri: s3Text(address), outcome: "missing" })),
    );
    if (objects.length === 0) {
      this.#report.outcome = "nothing-to-do";
      return;
    }
    onProgress({ phase: "checking" });
    const client = await this.#connect();
    try {
      await this.#withClient(client);
    } finally {
      client.close();
    }
  }

  /** With the session's settings that the modes rest on, and alone among the loads of this table. */
  async #connect(waitS = LOCK_WAIT_S): Promise<LoadClient> {
    const client = await this.#setup.openClient();
    // What is left is cleaned up also behind a Ctrl-C.
    if (waitS !== SETTLE_WAIT_S) {
      const stop = (): void => client.destroy();
      this.#setup.signal.addEventListener("abort", stop);
      if (this.#setup.signal.aborted) stop();
    }
    try {
      await client.query(
        `SET SESSION autocommit = 1, foreign_key_checks = 1, unique_checks = 1, ` +
          `lock_wait_timeout = ${LOCK_WAIT_S}, net_read_timeout = 600, net_write_timeout = 600, completion_type = 0`,
        "the session's settings",
      );
      // MySQL wants SESSION_VARIABLES_ADMIN for it. Warnings that are not kept count as any.
      const keepAll = client.query(`SET SESSION max_error_count = ${WARNINGS_KEPT_MAX}`, "keeping all warnings");
      await keepAll.catch((thrown: unknown) => {
        if (!(thrown instanceof StatementRefused)) throw thrown;
      });
      const [lock] = await client.query(`SELECT GET_LOCK('${this.#name("lock")}', ${waitS})`, "the lock on loads");
      if (lock?.[0] !== "1") throw new LoadFailure(`another load of ${this.#report.target} is under way`);
      return client;
    } catch (thrown) {
      client.destroy();
      throw thrown;
    }
  }

  async #withClient(client: LoadClient): Promise<void> {
    const { mode, ledger, via } = this.#plan;
    if (via === "server") await requireAurora(client);
    if (mode === "switch") return await this.#switch(client);
    const facts = await this.#factsOf(client, this.#plan.target);
    if (mode === "replace" || mode === "truncate") return await this.#replace(client, facts);
    if (ledger !== undefined) await openLedger(client, ledger);
    const { target } = this.#plan;
    await this.#inTransaction(client, target, facts, async () => {
      if (mode === "abort" && (await this.#hasRows(client, target)))
        throw new LoadFailure(`${this.#report.target} has rows, and --mode abort loads into an empty table only`);
      if (mode === "delete") await client.query(`DELETE FROM ${quotedTable(target)}`, "emptying the table");
    });
  }

  async #factsOf(client: LoadClient, table: TableName): Promise<TableFacts> {
    const name = `${table.schema}.${table.table}`;
    const facts = await tableFacts(client, table);
    if (facts === undefined) throw new LoadFailure(`${name}: there is no such table, or this account may not see it`);
    const why = whyNot(this.#plan.mode, facts, this.#plan.accepts);
    if (why !== undefined) throw new LoadFailure(`${name} ${why}`);
    if (facts.hasTriggers || facts.seesTriggers || this.#plan.accepts.has("triggers")) return facts;
    this.#report.remarks.push(`whether ${name} has triggers is not shown to this account; they run as for any INSERT`);
    return facts;
  }

  /** Also keeps others from adding any, until the transaction ends. */
  async #hasRows(client: LoadClient, table: TableName): Promise<boolean> {
    const sql = `SELECT 1 FROM ${quotedTable(table)} LIMIT 1 FOR UPDATE`;
    return (await client.query(sql, "looking for rows")).length > 0;
  }

  /** `prepare` runs behind the ledger, where there is something to load. */
  async #inTransaction(
    client: LoadClient,
    into: TableName,
    facts: TableFacts,
    prepare: () => Promise<void>,
  ): Promise<void> {
    const { onProgress } = this.#setup;
    try {
      await client.query("START TRANSACTION", "beginning the transaction");
      const objects = await this.#unseen(client);
      if (objects.length === 0) {
        await client.query("ROLLBACK", "ending the transaction");
        this.#report.outcome = "nothing-to-do";
        return;
      }
      await prepare();
      onProgress({ phase: "begun" });
      for (const allowed of objects) await this.#loadOne(client, allowed, into, facts);
    } catch (thrown) {
      if (!client.isLost) await client.query("ROLLBACK", "taking the load back").catch(() => client.destroy());
      throw thrown;
    }
    onProgress({ phase: "ending" });
    await this.#commit(client);
    this.#report.outcome = "committed";
  }

  async #commit(client: LoadClient): Promise<void> {
    try {
      await client.query("COMMIT", "ending the transaction");
    } catch (thrown) {
      // Told no by the server: nothing is in force. Told nothing: who knows, but the ledger.
      if (thrown instanceof StatementRefused) throw thrown;
      if ((await this.#settledByLedger()) === "in force") return;
      throw thrown;
    }
  }

  /** A new session has the lock only when the lost one is over, and what it had open is then decided. */
  async #settledByLedger(): Promise<"in force" | "taken back"> {
    const { ledger, target } = this.#plan;
    const loaded = this.#objects.find((_, index) => this.#report.objects[index]?.outcome === "loaded");
    if (ledger === undefined || loaded === undefined)
      throw new LoadFailure("the connection broke off at COMMIT", "unknown");
    return await this.#settled(async (client) =>
      (await isInLedger(client, ledger, loaded.object, target)) ? "in force" : "taken back",
    );
  }

  async #settled<T>(look: (client: LoadClient) => Promise<T>): Promise<T> {
    let client: LoadClient | undefined;
    try {
      client = await this.#connect(SETTLE_WAIT_S);
      return await look(client);
    } catch (thrown) {
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      throw new LoadFailure(`the connection broke off at the end, and a new one does not tell: ${why}`, "unknown");
    } finally {
      client?.close();
    }
  }

  /** Those that the ledger does not know, which it knows from now on. */
  async #unseen(client: LoadClient): Promise<readonly AllowedObject[]> {
    const { ledger, target, mode } = this.#plan;
    if (ledger === undefined) return this.#objects;
    const unseen: AllowedObject[] = [];
    for (const [index, allowed] of this.#objects.entries()) {
      if (await enterLedger(client, ledger, allowed.object, target)) unseen.push(allowed);
      else this.#reportOf(index).outcome = "seen";
    }
    const isPart = unseen.length > 0 && unseen.length < this.#objects.length;
    if (isPart && (mode === "delete" || mode === "switch"))
      throw new LoadFailure(
        `the ledger knows some of the objects and not the others: --mode ${mode} would leave a part`,
      );
    return unseen;
  }

  async #loadOne(client: LoadClient, allowed: AllowedObject, into: TableName, facts: TableFacts): Promise<void> {
    const { store, signal, onProgress, recordObject } = this.#setup;
    const index = this.#objects.indexOf(allowed);
    const object = this.#reportOf(index);
    const bytesTotal = this.#objects.reduce((sum, each) => sum + each.object.size, 0);
    const onBytes = (bytes: number): void =>
      onProgress({
        phase: "loading",
        object: index + 1,
        objects: this.#objects.length,
        bytes: this.#bytesBefore + bytes,
        bytesTotal,
      });
    try {
      const load = { plan: this.#plan, store, client, into, columns: facts.columns, signal, onBytes };
      const send = this.#plan.via === "server" ? loadObjectThere : loadObject;
      const counts = await send(load, allowed, object);
      await refuseWarnings(client, counts, this.#plan.shape, this.#plan.warningsMax).catch((thrown: unknown) => {
        throw thrown instanceof LoadFailure ? new LoadFailure(`${object.uri}: ${thrown.message}`) : thrown;
      });
      object.outcome = "loaded";
    } catch (thrown) {
      object.outcome = "failed";
      await recordObject(object, this.#report);
      throw thrown;
    }
    await recordObject(object, this.#report);
    this.#bytesBefore += allowed.object.size;
    onProgress({ phase: "loaded", object: index + 1, objects: this.#objects.length });
  }

  #reportOf(index: number): ObjectReport {
    const report = this.#report.objects[index];
    if (report === undefined) throw new Error("an object without a report");
    return report;
  }

  /** Into a table of its own, which takes the place of the old one by a single RENAME. */
  async #replace(client: LoadClient, facts: TableFacts): Promise<void> {
    const { target, keepsOld } = this.#plan;
    await this.#requireAtomicRename(client);
    const staging = this.#beside("load");
    const old = this.#beside("old");
    // What an earlier load left when it was killed: behind its RENAME the old rows, before it some of the new.
    for (const left of [staging, old]) await client.query(`DROP TABLE IF EXISTS ${quotedTable(left)}`, "cleaning up");
    let renaming = client;
    try {
      await client.query(`CREATE TABLE ${quotedTable(staging)} LIKE ${quotedTable(target)}`, "making the new table");
      this.#setup.onProgress({ phase: "begun" });
      for (const allowed of this.#objects) await this.#loadOne(client, allowed, staging, facts);
    } catch (thrown) {
      await this.#dropStaging(client, staging);
      throw thrown;
    }
    this.#setup.onProgress({ phase: "ending" });
    const kept = keepsOld ? { ...old, table: `${this.#name("kept")}_${Date.now().toString(36)}` } : old;
    const names = [target, kept, staging, target].map(quotedTable);
    try {
      await client.query(
        `RENAME TABLE ${names[0]} TO ${names[1]}, ${names[2]} TO ${names[3]}`,
        "changing the tables over",
      );
    } catch (thrown) {
      if (thrown instanceof StatementRefused) {
        await this.#dropStaging(client, staging);
        throw thrown;
      }
      const isRenamed = await this.#settled(async (other) => (await tableFacts(other, staging)) === undefined);
      if (!isRenamed) {
        await this.#dropStaging(client, staging);
        throw thrown;
      }
      renaming = await this.#connect(SETTLE_WAIT_S);
    }
    this.#report.outcome = "committed";
    if (keepsOld) this.#report.remarks.push(`the old rows are in ${kept.schema}.${kept.table}`);
    else await this.#dropOld(renaming, old);
    if (renaming !== client) renaming.close();
  }

  /** MySQL before 8.0 and MariaDB before 10.6 may come back from a crash with the one half renamed. */
  async #requireAtomicRename(client: LoadClient): Promise<void> {
    const [row] = await client.query("SELECT VERSION()", "asking for the version");
    const text = row?.[0] ?? "";
    const [, major = "0", minor = "0"] = /^(?:5\.5\.5-)?(\d{1,3})\.(\d{1,3})/.exec(text) ?? [];
    const isMariaDb = text.includes("MariaDB");
    const isAtomic = isMariaDb
      ? Number(major) > 10 || (Number(major) === 10 && Number(minor) >= 6)
      : Number(major) >= 8;
    if (!isAtomic)
      throw new LoadFailure(
        `${text} cannot change two tables over in one piece: --mode delete does it in one transaction`,
      );
  }

  async #dropStaging(client: LoadClient, staging: TableName): Promise<void> {
    const drop = `DROP TABLE IF EXISTS ${quotedTable(staging)}`;
    try {
      if (!client.isLost) await client.query(drop, "cleaning up");
      else await this.#settled((other) => other.query(drop, "cleaning up"));
    } catch {
      this.#report.remarks.push(
        `${staging.schema}.${staging.table} is left and can be dropped: the next load of the table does`,
      );
    }
  }

  async #dropOld(client: LoadClient, old: TableName): Promise<void> {
    try {
      await client.query(`DROP TABLE ${quotedTable(old)}`, "dropping the old table");
    } catch {
      this.#report.remarks.push(
        `the old rows are left in ${old.schema}.${old.table}: the next load of the table drops them`,
      );
    }
  }

  /** `t_a` and `t_b`: into the one without rows, and the other emptied with it. */
  async #switch(client: LoadClient): Promise<void> {
    const { target, ledger } = this.#plan;
    const halves = ["a", "b"].map((letter) => ({ ...target, table: `${target.table}_${letter}` }));
    const [first, second] = halves as [TableName, TableName];
    const facts = [await this.#factsOf(client, first), await this.#factsOf(client, second)] as const;
    if (ledger !== undefined) await openLedger(client, ledger);
    await client.query("START TRANSACTION", "beginning the transaction");
    const isFull = [await this.#hasRows(client, first), await this.#hasRows(client, second)] as const;
    await client.query("ROLLBACK", "ending the transaction");
    if (isFull[0] && isFull[1])
      throw new LoadFailure(`both ${first.table} and ${second.table} have rows: empty the one that is not in use`);
    const [into, other, at] = isFull[0] ? [second, first, facts[1]] : [first, second, facts[0]];
    await this.#inTransaction(client, into, at, async () => {
      if (await this.#hasRows(client, into)) throw new LoadFailure(`${into.table} has got rows meanwhile`);
      await client.query(`DELETE FROM ${quotedTable(other)}`, "emptying the other table");
    });
  }

  #beside(purpose: "load" | "old"): TableName {
    return { schema: this.#plan.target.schema, table: this.#name(purpose) };
  }

  /** The same for every load of the table, so that each finds what another left. */
  #name(purpose: "lock" | "load" | "old" | "kept"): string {
    const hash = createHash("sha256").update(this.#report.target.toLowerCase()).digest("hex").slice(0, 24);
    return `__qc_${purpose}_${hash}`;
  }
}
