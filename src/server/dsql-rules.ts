/** The rules about Aurora DSQL that hold today, with those of dsql.rules_file in place of the built-in ones. */
import { readFileSync } from "node:fs";
import { DsqlRuleSet } from "../sql/postgres/dsql/rule-set.ts";
import { readRulesFile } from "../sql/postgres/dsql/rules-file.ts";

const FILE_BYTES_MAX = 1024 * 1024;

/** Throws an Error that names the setting where the file cannot be used. */
export function loadDsqlRules(file: string | undefined, wallMs: number): DsqlRuleSet {
  const today = new Date(wallMs).toISOString().slice(0, 10);
  if (file === undefined) return new DsqlRuleSet(today);
  const text = readFileSync(file, "utf8");
  const read = text.length > FILE_BYTES_MAX ? { problem: "it is larger than 1 MiB" } : readRulesFile(text);
  if ("problem" in read) throw new Error(`dsql.rules_file: ${file}: ${read.problem}`);
  return new DsqlRuleSet(today, read.rules);
}
