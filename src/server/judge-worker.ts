/** Judges long texts in a thread of its own: however much there is to read, it keeps no session of the main thread waiting. */

import { parentPort } from "node:worker_threads";
import { collectGarbage } from "../net/bun-garbage.ts";
import { parsePolicy } from "../policy/file/policy-file.ts";
import { Judge } from "../policy/judge.ts";
import { MYSQL_ENGINE } from "../policy/mysql/mysql-engine.ts";
import { DEFAULT_POLICY, type Policy } from "../policy/policy.ts";
import { POSTGRES_ENGINE } from "../policy/postgres/postgres-engine.ts";
import { judgeLongText, type LongText, type LongVerdict } from "../session/statement/long-text.ts";
import { loadParser } from "../sql/postgres/parser/parser.ts";

/** The policy for the questions that follow: the text of its file, or undefined for the built-in one. */
export interface PolicyMessage {
  readonly type: "policy";
  readonly source: string | undefined;
  /** In front of every decision id; another one for every worker and policy. */
  readonly idPrefix: string;
}

export interface JudgeQuestion extends LongText {
  readonly type: "question";
  readonly id: number;
  readonly wallMs: number;
}

export interface JudgeAnswer {
  readonly id: number;
  /** Undefined when the worker could not judge. */
  readonly verdict: LongVerdict | undefined;
}

let wallMs = 0;
let judge = judgeUnder(DEFAULT_POLICY, "w");

function judgeUnder(policy: Policy, idPrefix: string): Judge | undefined {
  const clock = { wallMs: () => wallMs, monotonicMs: () => wallMs };
  return new Judge({
    engines: { mysql: MYSQL_ENGINE, postgresql: POSTGRES_ENGINE },
    policy,
    clock,
    idPrefix,
    cacheBytesMax: 0,
  });
}

function takePolicy({ source, idPrefix }: PolicyMessage): void {
  const parsed = source === undefined ? undefined : parsePolicy(source);
  if (parsed?.kind === "refused") judge = undefined;
  else judge = judgeUnder(parsed?.policy ?? DEFAULT_POLICY, idPrefix);
}

function answer(question: JudgeQuestion): JudgeAnswer {
  wallMs = question.wallMs;
  return { id: question.id, verdict: judge === undefined ? undefined : judgeLongText(judge, question) };
}

async function answerSafely(question: JudgeQuestion): Promise<void> {
  try {
    if (question.context.engine === "postgresql") await loadParser();
    parentPort?.postMessage(answer(question));
  } catch {
    parentPort?.postMessage({ id: question.id, verdict: undefined } satisfies JudgeAnswer);
  }
  if (question.sql.length >= TEXT_BYTES_FREED) setImmediate(() => collectGarbage(true));
}

/** A text in shared memory stays there until this thread, which may be idle for long, has let go of it. */
const TEXT_BYTES_FREED = 1024 * 1024;

parentPort?.on("message", (message: PolicyMessage | JudgeQuestion) => {
  if (message.type === "policy") {
    takePolicy(message);
    return;
  }
  answerSafely(message).catch(() => undefined);
});
