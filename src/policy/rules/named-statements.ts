/** EXECUTE of a name: whether anybody has seen the SQL behind it. */

import type { SqlEngineName, StatementFacts } from "../../sql/facts.ts";
import { foldName } from "../../sql/mysql/names/names.ts";
import type { RuleInput } from "./rule.ts";

/**
 * True where the session knows what the name stands for and judges it, or where the text has prepared it before: then it is
 * judged as part of the text. SAFETY: a PREPARE among words of flow need not have run.
 */
export function isNamedSqlSeen(statement: StatementFacts, { analysis, reading, subject }: RuleInput): boolean {
  if (subject.knowsNamed === true) return true;
  const { engine } = analysis.context;
  const name = nameOf(statement, engine);
  return name !== undefined && preparedIn(reading.statements, engine).isPreparedBefore(statement, name);
}

const known = new WeakMap<readonly StatementFacts[], PreparedNames>();

function preparedIn(statements: readonly StatementFacts[], engine: SqlEngineName): PreparedNames {
  let names = known.get(statements);
  if (names === undefined) {
    names = new PreparedNames(statements, engine);
    known.set(statements, names);
  }
  return names;
}

/** What a text prepares, by name and place: gathered once, because a text may run as many names as it likes. */
class PreparedNames {
  readonly #first = new Map<string, number>();
  readonly #indexes = new Map<StatementFacts, number>();

  constructor(statements: readonly StatementFacts[], engine: SqlEngineName) {
    const flowing = new Set<number>();
    for (const { kind, packetIndex } of statements) if (FLOW.has(kind)) flowing.add(packetIndex);
    let index = 0;
    for (const statement of statements) {
      this.#indexes.set(statement, index);
      const { dynamic, within, parent, packetIndex } = statement;
      if (dynamic?.type === "prepare" && dynamic.name !== undefined) {
        const isAlone = parent === undefined && !flowing.has(packetIndex);
        if (within !== "packet" || isAlone) this.#note(placeOf(statement, folded(dynamic.name, engine)), index);
      }
      index++;
    }
  }

  #note(place: string, index: number): void {
    if (!this.#first.has(place)) this.#first.set(place, index);
  }

  isPreparedBefore(statement: StatementFacts, name: string): boolean {
    const first = this.#first.get(placeOf(statement, name));
    return first !== undefined && first < (this.#indexes.get(statement) ?? 0);
  }
}

/** A statement of the packet itself may run what any such statement before it has prepared, others only their neighbours'. */
function placeOf({ within, parent }: StatementFacts, name: string): string {
  return within === "packet" ? `packet ${name}` : `${within} ${parent} ${name}`;
}

/** Whether the text runs a literal of its own with values, which are not in the literal. */
export function runsWithValues(statements: readonly StatementFacts[]): boolean {
  return statements.some(
    ({ dynamic }) => dynamic !== undefined && dynamic.type !== "prepare" && dynamic.using.length > 0,
  );
}

/** Servers of MySQL's kind compare other names by a collation, so that two spellings may be one name. */
function nameOf({ dynamic }: StatementFacts, engine: SqlEngineName): string | undefined {
  const name = dynamic?.name;
  if (engine === "postgresql") return name;
  return name !== undefined && /^[\w$]+$/.test(name) ? folded(name, engine) : undefined;
}

/** The analysis gives PostgreSQL's names as its server has them: what differs is another name. */
function folded(name: string, engine: SqlEngineName): string {
  return engine === "postgresql" ? name : foldName(name);
}

const FLOW: ReadonlySet<string> = new Set(["compound", "flow", "declare"]);
