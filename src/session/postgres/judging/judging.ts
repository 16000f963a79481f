/** Which statements a message stands for, and the worst that is said of them. */
import { encodeUtf8 } from "../../../base/bytes.ts";
import { textOfBinary } from "../../../postgres/parameter-value.ts";
import type { Refusable } from "../../../postgres/poison.ts";
import type { BoundValue } from "../../../sql/facts.ts";
import { ident } from "../../../sql/postgres/writing/safe-sql.ts";
import type { DecisionAction, Judgement } from "../../statement/statement-judge.ts";
import type { RelayContext } from "../relay/relay-context.ts";
import type { PostgresStatement } from "./judge.ts";

/** More meanings of a name than these are waited out. */
const MEANINGS_MAX = 8;

const RANK: Readonly<Record<DecisionAction, number>> = { allow: 0, warn: 1, "require-approval": 2, block: 3 };

/** A statement that waits for an approval. */
export interface HeldPassage {
  readonly decoded: Refusable;
  readonly sql: Uint8Array;
  readonly wireBytes: number;
  /** Of a Bind; null is NULL. */
  readonly values: readonly (Uint8Array | null)[];
  recordHold(approvalId: string, expiresInMs: number): void | Promise<void>;
  /** It has not run, and its session ends. Never rejects. */
  recordBlocked(judgement: Judgement): Promise<void>;
  /** Under the policy of that moment. */
  judgeAgain(): Judgement | Promise<Judgement>;
}

/** What stands between a verdict and the wire, other than the judge. */
export interface Gate {
  /** The judgement under which the statement may run now, or the one it is refused with. */
  seek(passage: HeldPassage, judgement: Judgement): Promise<Judgement>;
  tellBlocked(judgement: Judgement): void;
  tellWarned(judgement: Judgement): void;
  /** A message that no judge was asked about. */
  recordRefused(command: string): void;
}

/**
 * All that the message may run. `too-many` where a name has more meanings than are judged at once, `no-statement` where a
 * Bind names the unnamed statement and there is none.
 */
export function statementsOf(
  context: RelayContext,
  message: Exclude<Refusable, { name: "FunctionCall" }>,
): readonly PostgresStatement[] | "too-many" | "no-statement" {
  const of = (sql: Uint8Array, values?: readonly BoundValue[]): PostgresStatement => ({
    command: message.name,
    sql,
    facts: context.facts,
    subject: context.subject,
    preparedTexts: context.preparedTexts,
    signal: context.signal,
    values,
  });
  switch (message.name) {
    case "Query":
    case "Parse":
      return [of(message.sql)];
    case "Execute":
      // No Bind has made it: where there is such a portal at all, it is a cursor that SQL has declared.
      return [of(encodeUtf8(`FETCH ALL FROM ${quoted(message.portal)}`))];
    default: {
      const meanings = context.statements.candidates(message.statement, context.unit);
      if (meanings.length > MEANINGS_MAX) return "too-many";
      const statements = meanings.map(({ sql, parameterTypes }) => of(sql, valuesOf(message, parameterTypes)));
      if (message.statement === "") return statements.length === 0 ? "no-statement" : statements;
      // PREPARE and Parse share their names.
      const isDoubtful = context.facts.areNamesDoubtful || context.preparedByText.has(message.statement);
      return isDoubtful || statements.length === 0
        ? [...statements, of(encodeUtf8(`EXECUTE ${quoted(message.statement)}`))]
        : statements;
    }
  }
}

/** No format stands for text, one for all values. What is in binary is read where its type is known. */
function valuesOf(
  { values, parameterFormats }: Extract<Refusable, { name: "Bind" }>,
  types: readonly number[],
): readonly BoundValue[] {
  const [first = 0] = parameterFormats;
  return values.map((value, index) => {
    const format = parameterFormats.length > 1 ? parameterFormats[index] : first;
    if (value === null || format === 0) return value;
    return format === 1 ? textOfBinary(types[index] ?? 0, value) : undefined;
  });
}

/** No statement of SQL can name the unnamed one: what stands for it is not understood, as it must be. */
function quoted(name: string): string {
  return name === "" ? '""' : ident(name).toString();
}

export function worstOf(judgements: readonly (Judgement | Promise<Judgement>)[]): Judgement | Promise<Judgement> {
  const known: Judgement[] = [];
  for (const judgement of judgements) {
    if (judgement instanceof Promise) return Promise.all(judgements).then(worst);
    known.push(judgement);
  }
  return worst(known);
}

function worst(judgements: readonly Judgement[]): Judgement {
  return judgements.reduce((worse, judgement) => (RANK[judgement.action] > RANK[worse.action] ? judgement : worse));
}
