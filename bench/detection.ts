/**
 * Detection measured on corpora: `bun bench/detection.ts <folder> [--misses=<family or source>] [--hits=<source>]`.
 * The folder holds attacks*.jsonl.gz, neutralised*.jsonl.gz and benign*.jsonl.gz with one JSON object per line
 * ({src, fam?, dialect?, sql}), such as bench/attack-corpus.ts writes; each statement is judged under the built-in
 * policy. Nothing of the texts is kept.
 */
import { decide } from "../src/policy/decide.ts";
import { DEFAULT_POLICY } from "../src/policy/policy.ts";
import { contextFor, subjectFor } from "../src/policy/tools/tool-context.ts";
import { analyze } from "../src/sql/mysql/analyze.ts";
import { sha256Hex } from "../src/sql/mysql/digest/digest.ts";
import { readSamples, type Sample } from "./corpus.ts";

interface AttackSample extends Sample {
  readonly fam?: string;
  /** mysql where it is missing. */
  readonly dialect?: string;
}

interface Judged extends AttackSample {
  readonly score: number;
  readonly rules: readonly string[];
  readonly kind: string;
  readonly understood: boolean;
}

const THRESHOLDS = [25, 50, 80] as const;
const DML_KINDS = new Set([
  "select",
  "insert",
  "insert-select",
  "replace",
  "replace-select",
  "update",
  "delete",
  "update-multi",
  "delete-multi",
]);

const context = contextFor({});
const subject = subjectFor({});
const encoder = new TextEncoder();

function judge(sample: AttackSample): Judged {
  const analysis = analyze(encoder.encode(sample.sql), contextFor({ dialect: sample.dialect }));
  const decision = decide(analysis, subject, DEFAULT_POLICY, { wallMs: 0 });
  return {
    ...sample,
    score: decision.score,
    rules: decision.rules.map(({ id, points }) => `${id}=${points}`),
    kind: analysis.statements[0]?.kind ?? "empty",
    understood: decision.understood,
  };
}

function share(judged: readonly Judged[], threshold: number): string {
  if (judged.length === 0) return "-".padStart(7);
  const count = judged.filter(({ score }) => score >= threshold).length;
  return ((100 * count) / judged.length).toFixed(2).padStart(7);
}

function printRow(name: string, judged: readonly Judged[]): void {
  const shares = THRESHOLDS.map((threshold) => share(judged, threshold)).join("");
  console.log(`${name.padEnd(44)}${String(judged.length).padStart(7)}${shares}`);
}

function printHeader(title: string): void {
  const columns = THRESHOLDS.map((threshold) => `>=${threshold}`.padStart(7)).join("");
  console.log(`\n${title.padEnd(44)}${"n".padStart(7)}${columns}  (% of statements)`);
}

function groupBy(judged: readonly Judged[], keyOf: (sample: Judged) => string): Map<string, Judged[]> {
  const groups = new Map<string, Judged[]>();
  for (const sample of judged) {
    const group = groups.get(keyOf(sample));
    if (group === undefined) groups.set(keyOf(sample), [sample]);
    else group.push(sample);
  }
  return new Map([...groups].sort(([left], [right]) => (left < right ? -1 : 1)));
}

function printSamples(title: string, judged: readonly Judged[], countMax: number): void {
  console.log(`\n${title}: ${judged.length}`);
  const step = Math.max(1, Math.floor(judged.length / countMax));
  for (let index = 0; index < judged.length; index += step) {
    const { score, rules, sql, fam } = judged[index] as Judged;
    console.log(`  [${score}] ${rules.join(" ")} | ${fam ?? ""} | ${JSON.stringify(sql.slice(0, 300))}`);
  }
}

/** Share of attacks found at the score that a given share of benign statements reaches. */
function printOperatingPoints(attacks: readonly Judged[], quiet: readonly Judged[]): void {
  console.log("\nfound at a fixed share of false alarms (benign DML without missing-WHERE, neutralised)");
  for (const rate of [0.0001, 0.001, 0.01]) {
    for (let threshold = 1; threshold <= 100; threshold++) {
      const alarms = quiet.filter(({ score }) => score >= threshold).length / quiet.length;
      if (alarms > rate) continue;
      console.log(
        `  ${(100 * rate).toFixed(2)} % false alarms: score >= ${threshold}, found ${share(attacks, threshold).trim()} %`,
      );
      break;
    }
  }
}

/** A profile that knows the templates' own digests, told by the payloads that stayed data, and blocks every other one. */
function printLearned(attacks: readonly Judged[], neutralised: readonly Judged[]): void {
  const digests = new Set(neutralised.map(({ sql }) => sha256Hex(analyze(encoder.encode(sql), context).digest)));
  const policy = {
    ...DEFAULT_POLICY,
    base: { ...DEFAULT_POLICY.base, knownDigests: digests, newDigest: "block" as const },
  };
  const blocked = ({ sql }: Sample): boolean => {
    const options = { wallMs: 0 };
    return decide(analyze(encoder.encode(sql), context), subject, policy, options).enforcedAction === "block";
  };
  const caught = attacks.filter(blocked).length;
  const refused = neutralised.filter(blocked).length;
  console.log(
    `\nlearned profile of ${digests.size} digests: ${caught} of ${attacks.length} attacks blocked, ${refused} of ${neutralised.length} neutralised blocked`,
  );
}

function main(args: readonly string[]): void {
  const folder = args.find((argument) => !argument.startsWith("--"));
  if (folder === undefined) {
    console.error("usage: bun bench/detection.ts <corpora folder> [--misses=<text>] [--alarms=<text>]");
    process.exitCode = 2;
    return;
  }
  const option = (name: string) => args.find((argument) => argument.startsWith(`--${name}=`))?.split("=")[1];
  const attacks = readSamples<AttackSample>(folder, "attacks").map(judge);
  const neutralised = readSamples<AttackSample>(folder, "neutralised").map(judge);
  const benign = readSamples<AttackSample>(folder, "benign").map(judge);

  printHeader("attacks by source");
  for (const [source, group] of groupBy(attacks, ({ src }) => src)) printRow(source, group);
  printRow("all sources", attacks);
  printHeader("attacks by family");
  for (const [family, group] of groupBy(attacks, ({ src, fam }) => `${src} ${fam ?? ""}`)) printRow(family, group);

  printHeader("neutralised");
  for (const [source, group] of groupBy(neutralised, ({ src }) => src)) printRow(source, group);
  printRow("all neutralised", neutralised);

  const isWithoutWhere = ({ rules }: Judged) => rules.some((rule) => rule.startsWith("dml.nowhere"));
  const dml = benign.filter(({ kind }) => DML_KINDS.has(kind));
  printHeader("benign DML, UPDATE and DELETE without WHERE apart");
  for (const [source, group] of groupBy(dml, ({ src }) => src))
    printRow(
      source,
      group.filter((one) => !isWithoutWhere(one)),
    );
  const quiet = dml.filter((one) => !isWithoutWhere(one));
  printRow("all benign DML", quiet);
  printRow("UPDATE and DELETE without WHERE", dml.filter(isWithoutWhere));
  printHeader("benign, everything else");
  const rest = benign.filter(({ kind }) => !DML_KINDS.has(kind));
  for (const [source, group] of groupBy(rest, ({ src }) => src)) printRow(source, group);
  printRow(
    "not understood",
    benign.filter(({ understood }) => !understood),
  );
  printOperatingPoints(attacks, [...quiet, ...neutralised]);
  printLearned(attacks, neutralised);

  const misses = option("misses");
  if (misses !== undefined) {
    const missed = attacks.filter(({ score, src, fam }) => score < 25 && `${src} ${fam ?? ""}`.includes(misses));
    printSamples(`attacks below 25 in "${misses}"`, missed, 60);
  }
  const alarms = option("alarms");
  if (alarms !== undefined) {
    const raised = [...quiet, ...neutralised].filter(({ score, src }) => score >= 25 && src.includes(alarms));
    printSamples(`false alarms in "${alarms}"`, raised, 60);
  }
}

main(process.argv.slice(2));
