/** What a table must be for a mode, so that it has the old rows or the new ones whatever happens, and nothing else is lost. */
import type { LoadMode } from "../base/load-rule.ts";
import type { Acceptable } from "./load-plan.ts";
import type { TableFacts } from "./table-facts.ts";

/** Rules of a foreign key under which the rows of other tables change with those of this one. */
const CHANGING_RULES: ReadonlySet<string> = new Set(["CASCADE", "SET NULL", "SET DEFAULT"]);

/** In words that go on from the table's name; undefined where nothing stands against it. */
export function whyNot(mode: LoadMode, facts: TableFacts, accepts: ReadonlySet<Acceptable>): string | undefined {
  if (facts.type === "VIEW" || facts.type === "SYSTEM VIEW") return "is a view: load into its table";
  if (facts.type !== "BASE TABLE" && facts.type !== "SYSTEM VERSIONED") return `is no table but a ${facts.type}`;
  if (facts.engine !== "InnoDB")
    return `has the engine ${facts.engine}, which cannot take back what it was told: make it InnoDB`;
  if (mode === "replace" || mode === "truncate") return whyNotReplaced(mode, facts, accepts);
  if (facts.hasTriggers && !accepts.has("triggers"))
    return "has triggers, which would run for each row and may do what cannot be taken back: --accept triggers says that they may";
  if (mode === "delete" || mode === "switch") return whyNotEmptied(facts, accepts);
  return undefined;
}

function whyNotReplaced(mode: LoadMode, facts: TableFacts, accepts: ReadonlySet<Acceptable>): string | undefined {
  const instead = "--mode delete does it in one transaction";
  if (facts.type === "SYSTEM VERSIONED") return `keeps its history, which would go with the old table: ${instead}`;
  if (facts.hasTriggers) return `has triggers, which would stay with the old table: ${instead}`;
  if (facts.hasParents) return `has foreign keys, which CREATE TABLE LIKE does not take over: ${instead}`;
  if (facts.childRules.length > 0)
    return `is what foreign keys of other tables point at, which would go on to the old one: ${instead}`;
  if (facts.seesTriggers && facts.seesChildren) return undefined;
  return unseen(`--mode ${mode}`, facts, accepts);
}

function whyNotEmptied(facts: TableFacts, accepts: ReadonlySet<Acceptable>): string | undefined {
  const rule = facts.childRules.find((each) => CHANGING_RULES.has(each));
  if (rule !== undefined)
    return `has rows of other tables hanging on it that go or change with its own (ON DELETE ${rule})`;
  return facts.seesChildren ? undefined : unseen("this", facts, accepts);
}

function unseen(what: string, facts: TableFacts, accepts: ReadonlySet<Acceptable>): string | undefined {
  if (accepts.has("unseen")) return undefined;
  const hidden = [
    facts.seesChildren ? "" : "foreign keys of tables that this account may not see (SELECT on *.* shows all)",
    facts.seesTriggers || what === "this"
      ? ""
      : "triggers that it may not see (the privilege TRIGGER on the table shows them)",
  ].filter((text) => text !== "");
  return `may have ${hidden.join(" and ")}, and ${what} would harm them: --accept unseen says that there are none`;
}
