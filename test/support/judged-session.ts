/** A session that is judged without a server: what is decided of each statement, and what is believed behind it. */
import { createHash } from "node:crypto";
import type { ResponseEnd } from "../../src/mysql/response.ts";
import { Judge } from "../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../src/policy/mysql/mysql-engine.ts";
import { MysqlPreparedText } from "../../src/policy/mysql/prepared-text.ts";
import { PolicyJudge } from "../../src/session/mysql/judging/policy-judge.ts";
import { sqlContextOf } from "../../src/session/mysql/judging/sql-context.ts";
import { SessionState } from "../../src/session/mysql/session-state.ts";
import { judgeLongText } from "../../src/session/statement/long-text.ts";
import type { Judgement, StatementRequest } from "../../src/session/statement/statement-judge.ts";
import { NOON, policyFrom } from "../policy/policy-fixture.ts";
import type { Dice } from "./digest-oracle.ts";

export const LIST_POLICIES: readonly (readonly [name: string, policy: string])[] = [
  ["built in", ""],
  ["read only", "read_only: true\nmulti_statements: true\nallow: { functions: [f] }"],
  [
    "tenants",
    "multi_statements: true\ntenants: [{ tables: [orders], column: tenant_id, value: 7 }]\ndeny: { tables: [secret], statements: [delete] }",
  ],
  ["approvals", "thresholds: { warn: 10, require_approval: 30, block: 90 }\nmulti_statements: true"],
  [
    "impact",
    "impact: { estimated_rows: { block: 1000 }, no_estimate: block, max_changed_rows: 5 }\nmulti_statements: true",
  ],
  ["observe", "mode: observe\nread_only: true\nlimits: { max_response_rows: 7 }\nmulti_statements: true"],
  [
    "schemas",
    "multi_statements: true\nprofiles:\n  - { name: p, match: { schemas: [pay] }, read_only: true, limits: { max_response_rows: 5 } }\n  - { name: q, match: { schemas: [shop] }, schemas: [shop], allow: { statements: [select, set, use, prepare, execute, insert] } }",
  ],
];

/** A judge of its own, so that nothing of another list is remembered; with one beside it for long texts, or without. */
export function judgeUnder(policy: string, hasLongTexts = false): PolicyJudge {
  const clock = { wallMs: () => NOON, monotonicMs: () => 0 };
  const options = { policy: policyFrom(policy), clock, idPrefix: "t", cacheBytesMax: 1 << 20 };
  const judge = new Judge({ engines: { mysql: MYSQL_ENGINE }, ...options });
  return new PolicyJudge(judge, hasLongTexts ? { judge: async (text) => judgeLongText(judge, text) } : undefined);
}

export function newState(dice: Dice): SessionState {
  const state = new SessionState();
  const isMariaDb = dice.below(2) === 0;
  Object.assign(state, {
    user: "app",
    dialect: isMariaDb ? "mariadb" : "mysql",
    serverVersionNumber: isMariaDb ? 101119 : 90704,
    allowsMultiStatements: true,
    isTracked: true,
    needsProbe: false,
  });
  state.setVariables({ sqlMode: "", characterSet: "utf8mb4", connectionCharacterSet: "utf8mb4" });
  state.setSchema("shop");
  return state;
}

/** A server that reports what a plain SET or USE sets. */
function reportOf(text: string) {
  const systemVariables = new Map<string, string>();
  const mode = /^SET sql_mode = '(\w*)'$/.exec(text)?.[1];
  if (mode !== undefined) systemVariables.set("sql_mode", mode);
  const charset = /^SET NAMES (\w+)$/.exec(text)?.[1];
  if (charset !== undefined) {
    systemVariables.set("character_set_client", charset).set("character_set_connection", charset);
  }
  const schema = /^USE (\w+)$/.exec(text)?.[1];
  return { systemVariables, ...(schema === undefined ? {} : { schema }) };
}

const ENDED = { outcome: "ok", statusFlags: 2, affectedRows: 0 } as ResponseEnd;

const ERRORS_EVERY = 6;

/** The session as the policy sees it. */
export const LIST_SESSION = { clientAddress: "10.0.0.1", isTls: true, listener: "test" } as const;

type Asked = Pick<StatementRequest, "command" | "sql" | "execution" | "estimatedRows">;

/** How a statement that takes no values is run as a prepared one. */
export function executionOf(sql: Uint8Array, state: SessionState): NonNullable<StatementRequest["execution"]> {
  return { text: new MysqlPreparedText(sql, sqlContextOf(state, "COM_STMT_PREPARE"), 0), values: [] };
}

/** Takes note of what the server answers to a statement that was sent. */
export function takeAnswer(state: SessionState, judgement: Judgement, end: ResponseEnd): void {
  const isOk = end.outcome !== "err";
  if (judgement.dynamicEffect !== undefined) state.dynamicSql.after(judgement.dynamicEffect, end);
  if (judgement.usesSchema !== undefined && isOk) state.setSchema(judgement.usesSchema);
  state.afterStatement(end, judgement.afterwards);
  state.afterKinds(judgement.statementKind, isOk);
}

/** What was decided, and whether it was sent (+), sent and failed (-) or refused (x). Dice say what the server answers. */
export async function judgeNext(
  judge: PolicyJudge,
  state: SessionState,
  asked: Asked,
  dice: Dice,
): Promise<{ readonly mark: string; readonly judgement: Judgement }> {
  const judgement = await judge.judge({ ...asked, state, session: LIST_SESSION });
  const isSent = judgement.action === "allow" || judgement.action === "warn";
  const isOk = dice.below(ERRORS_EVERY) !== 0;
  if (!isSent) return { mark: "x", judgement };
  const affectedRows = dice.below(2);
  const end = isOk
    ? { ...ENDED, affectedRows, sessionState: reportOf(Buffer.from(asked.sql).toString()) }
    : { ...ENDED, outcome: "err" as const, statusFlags: undefined };
  takeAnswer(state, judgement, end);
  return { mark: isOk ? "+" : "-", judgement };
}

/** What a prepared text was read by is told by what becomes of it. */
const withoutContexts = (key: string, value: unknown): unknown => (key === "context" ? undefined : value);

export function told(state: SessionState, judgement: Judgement): string {
  const {
    action,
    ruleId = "",
    statementKind,
    afterwards,
    dynamicEffect,
    decisionId: _,
    policyVersion: __,
    ...rest
  } = judgement;
  const { dynamicSql: known, variables } = state;
  const after = {
    variables,
    names: ["v", "w", "t", "V"].map((name) => known.variable(name)),
    statements: ["s", "t", "S", "s-1"].map((name) => [
      known.statement(name)?.map(({ sql }) => Buffer.from(sql).toString()),
      known.lacksStatement(name),
    ]),
    known: [known.hasAllNames, known.hasVariables, known.isEmpty],
    state: [
      state.isTracked,
      state.needsProbe,
      state.isSchemaKnown,
      state.hasLockedTables,
      state.canTakeBack,
      state.isReadingKnown,
    ],
  };
  const sum = createHash("sha256")
    .update(JSON.stringify([rest, dynamicEffect, after], withoutContexts))
    .digest("hex")
    .slice(0, 8);
  return `${[action, ruleId, statementKind, afterwards, dynamicEffect?.kind].join(" ")} ${sum}`;
}
