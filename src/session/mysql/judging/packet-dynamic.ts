/** A packet of several statements around SQL run by a name: what stands behind each name, as the statements before leave it. */
import type { SessionEffect } from "../../../policy/session-effect.ts";
import type { MysqlContext, StatementFacts, StatementKind } from "../../../sql/facts.ts";
import { analyze, type MysqlAnalysis } from "../../../sql/mysql/analyze.ts";
import { quotingFor } from "../../../sql/mysql/dynamic/bound-text.ts";
import { type Certainty, certaintyAfter, certaintyOf, isReadAsBefore } from "../../../sql/mysql/dynamic/certainty.ts";
import { effectOn, type Prepared, resolveDynamicSql, type SessionDynamicSql } from "./dynamic-sql.ts";

/** More are not followed. */
const STATEMENTS_MAX = 32;
/** More possibilities of the whole text count as not known. */
const TEXTS_MAX = 8;

/** What may prepare another statement under a name, or run one that is not looked at here. */
const UNSEEN_KINDS: ReadonlySet<string> = new Set<StatementKind>([
  "call",
  "compound",
  "flow",
  "declare",
  "execute-immediate",
  "unknown",
  "use",
  "drop-schema",
]);

/** What decides how the statements behind it are read, and says so. */
const SETTING_KINDS: ReadonlySet<string> = new Set<StatementKind>(["set", "set-names"]);

export interface FollowedPacket {
  /** The whole text with what its variables hold as literals: one of these runs. */
  readonly sqls: readonly Uint8Array[];
  readonly executions: readonly Prepared[];
  /** What the session knows when all of it has run. */
  readonly known: SessionDynamicSql;
}

export interface PacketSeen {
  readonly analysis: MysqlAnalysis;
  /** What DATABASE() gives; undefined where that is not certain. */
  readonly schema: string | undefined;
  /** No text is longer. */
  readonly bytesMax: number;
  /** What the statements are that an execution may run, in the session as it is then. */
  readonly look: (execution: Prepared, now: MysqlContext) => RunByName;
}

export interface RunByName {
  readonly kinds: readonly string[];
  readonly sessionEffect: SessionEffect;
}

/** Whether the packet asks for what a name stands for, or sets it. */
export function concernsNames(kinds: readonly string[], sql: Uint8Array, known: SessionDynamicSql): boolean {
  if (kinds.length < 2) return false;
  if (kinds.includes("execute") || kinds.includes("prepare")) return true;
  return (kinds.includes("set") && sql.includes(AT)) || (kinds.includes("drop-prepare") && !known.isEmpty);
}

const AT = 0x40;

/** Undefined where not every statement's effect on what is known is certain, or a name is not known. */
export function followPacket(before: SessionDynamicSql, seen: PacketSeen): FollowedPacket | undefined {
  const { understood, readings, statements } = seen.analysis;
  if (!understood || readings.length !== 1 || statements.length > STATEMENTS_MAX) return undefined;
  const packet = new Packet(before, seen);
  const all = statements.filter(({ within }) => within !== "prepared-literal");
  return all.every((statement) => packet.follow(statement)) ? packet.followed() : undefined;
}

class Packet {
  readonly #seen: PacketSeen;
  readonly #texts: PacketTexts;
  readonly #known: SessionDynamicSql;
  readonly #executions: Prepared[] = [];
  #certainty: Certainty;
  #schema: string | undefined;

  constructor(before: SessionDynamicSql, seen: PacketSeen) {
    const { sql, context } = seen.analysis;
    this.#seen = seen;
    this.#texts = new PacketTexts(sql, seen.bytesMax);
    this.#known = before.copy();
    this.#certainty = certaintyOf(context);
    this.#schema = seen.schema;
  }

  /** False where what the statement does is not certain. */
  follow(statement: StatementFacts): boolean {
    if (!isFollowed(statement)) return false;
    const { kind, start, end } = statement;
    const { context } = this.#certainty;
    const sql = this.#seen.analysis.sql.subarray(start, end);
    const analysis = analyze(sql, context);
    if (analysis.readings.length !== 1 || analysis.statements[0]?.kind !== kind) return false;
    const analyzed = (): MysqlAnalysis => analysis;
    const resolved = resolveDynamicSql(this.#known, [kind], analyzed, quotingFor(context));
    if (kind === "execute" && resolved?.kind !== "prepared") return false;
    if (resolved?.kind === "texts" && !this.#texts.replace(statement, resolved.sqls)) return false;
    const run = resolved?.kind === "prepared" ? this.#look(resolved) : undefined;
    const kindsRun = run?.kinds ?? [kind];
    const known = this.#known;
    const effect = effectOn({ known, sql, kinds: [kind], kindsRun, schema: this.#schema, analyzed });
    known.after(effect, { outcome: "ok", affectedRows: 0 });
    if (run?.sessionEffect === "none") this.#certainty = certaintyOf(context);
    else this.#certainty = certaintyAfter(this.#certainty, [statement], this.#seen.analysis.sql);
    return true;
  }

  #look(execution: Prepared): RunByName {
    this.#executions.push(execution);
    const run = this.#seen.look(execution, this.#certainty.context);
    if (run.sessionEffect !== "none") this.#schema = undefined;
    return run;
  }

  followed(): FollowedPacket | undefined {
    const sqls = this.#texts.all();
    return sqls && { sqls, executions: this.#executions, known: this.#known };
  }
}

function isFollowed(statement: StatementFacts): boolean {
  const { kind, within } = statement;
  return within === "packet" && !UNSEEN_KINDS.has(kind) && (SETTING_KINDS.has(kind) || isReadAsBefore([statement]));
}

/** The texts that a packet may be: one for each choice of what its statements may be. */
class PacketTexts {
  readonly #sql: Uint8Array;
  readonly #bytesMax: number;
  /** What is written up to `#from`. */
  #heads: readonly Uint8Array[] = [new Uint8Array(0)];
  #from = 0;

  constructor(sql: Uint8Array, bytesMax: number) {
    this.#sql = sql;
    this.#bytesMax = bytesMax;
  }

  /** False where there are too many by now. */
  replace({ start, end }: Pick<StatementFacts, "start" | "end">, choices: readonly Uint8Array[]): boolean {
    if (this.#heads.length * choices.length > TEXTS_MAX || start < this.#from) return false;
    const between = this.#sql.subarray(this.#from, start);
    this.#heads = this.#heads.flatMap((head) => choices.map((choice) => Buffer.concat([head, between, choice])));
    this.#from = end;
    return this.#heads.every(({ length }) => length <= this.#bytesMax);
  }

  all(): readonly Uint8Array[] | undefined {
    if (this.#from === 0) return [this.#sql];
    const rest = this.#sql.subarray(this.#from);
    const sqls = this.#heads.map((head) => Buffer.concat([head, rest]));
    return sqls.every(({ length }) => length <= this.#bytesMax) ? sqls : undefined;
  }
}
