/** Whether what a statement reads from S3 or writes there is what the connection's `loads:` allow. */
import { allowsObjects, allowsTable, type ConnectionLoads } from "../../base/load-rule.ts";
import { parseS3Pattern, type S3Pattern } from "../../base/s3-uri.ts";
import type { Analysis, Finding, Reach, StatementFacts, TableReference } from "../../sql/facts.ts";
import type { Subject } from "../policy.ts";
import { refusal } from "./policy-tests.ts";
import type { Evidence, RuleInput } from "./rule.ts";

const STORES: ReadonlySet<Reach["type"]> = new Set(["s3-read", "s3-read-prefix", "s3-read-list", "s3-write"]);

/** False for nearly every statement. */
const usesBucket = ({ reach }: StatementFacts): boolean => reach.some(({ type }) => STORES.has(type));

export function findUnlistedBucket(statement: StatementFacts, { subject }: RuleInput): Evidence | undefined {
  if (subject.loads === undefined || statement.reach.length === 0) return undefined;
  for (const reach of statement.reach) {
    if (!STORES.has(reach.type)) continue;
    const why = whyUnlisted(reach, statement, subject.loads, subject);
    if (why !== undefined) return refusal(reach, why);
  }
  return undefined;
}

/** What the connection's loads list is known to its operator. */
export const unlessInLoads =
  (points: number) =>
  (finding: Finding, { reading, subject }: RuleInput): number => {
    const statement = finding.statement === undefined ? undefined : reading.statements[finding.statement];
    if (statement === undefined || subject.loads === undefined) return points;
    const { loads } = subject;
    const stores = statement.reach.filter(({ type }) => STORES.has(type));
    const isListed = stores.every((reach) => whyUnlisted(reach, statement, loads, subject) === undefined);
    return stores.length > 0 && isListed ? 0 : points;
  };

/** SAFETY: one text is about other objects under other addresses in it, which its digest does not tell apart. */
export function readsBuckets({ readings }: Analysis): boolean {
  return readings.some(({ statements }) => statements.some(usesBucket));
}

function whyUnlisted(
  { type, target }: Reach,
  statement: StatementFacts,
  loads: ConnectionLoads,
  { saysAurora }: Subject,
): string | undefined {
  if (type === "s3-read-list") return "which objects it reads is not in its text";
  const asked = askedOf(target, type !== "s3-read");
  if (asked === undefined) return "its address is not s3://bucket/key or s3-REGION://bucket/key as a literal";
  const isWrite = type === "s3-write";
  const ofBucket = loads.filter((rule) => rule.way === (isWrite ? "out" : "in") && allowsObjects(rule, asked));
  if (ofBucket.length === 0) return `the connection's loads list no ${isWrite ? "writing" : "reading"} there`;
  const tables = isWrite ? statement.tablesRead : statement.tablesWritten;
  const ofTables = ofBucket.filter((rule) => tables.every((table) => isListed(rule, table)));
  if (ofTables.length === 0 || (!isWrite && tables.length === 0))
    return `the connection's loads list no table for it that the statement ${isWrite ? "reads" : "names"}`;
  const isOpen = ofTables.some((rule) => rule.way === "out" || (rule.modes.includes("append") && !rule.limitsBytes));
  if (!isOpen) return "the connection's loads allow it to querycop load alone, by modes or max_bytes";
  // SAFETY: another MySQL takes the same statement for one about files of its own.
  if (saysAurora !== true)
    return "the server has not said that it is an Aurora, and may take the address for a file of its own";
  return undefined;
}

/** A server that writes makes several objects, whose keys begin as it was told. */
function askedOf(target: string | undefined, isPrefix: boolean): S3Pattern | undefined {
  if (target === undefined) return undefined;
  // Nothing in an address of a statement stands for anything else.
  const prefix = parseS3Pattern(`${target}*`);
  if (prefix === undefined) return undefined;
  if (isPrefix) return prefix;
  return prefix.key === "" ? undefined : { ...prefix, isPrefix: false };
}

function isListed(rule: ConnectionLoads[number], { schema, table }: TableReference): boolean {
  return schema !== undefined && allowsTable(rule, schema, table);
}
