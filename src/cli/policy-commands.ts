/** `querycop policy lint|test|replay|learn|import-digests`: living with a policy. */

import type { ArgsDef } from "citty";
import { DEFAULT_POLICY } from "../policy/policy.ts";
import { type CaseResult, parseCases, runCases } from "../policy/policy-cases.ts";
import { parsePolicy, renderProblems } from "../policy/policy-file.ts";
import { importDigests, PolicyLearner } from "../policy/policy-learn.ts";
import { type LintFinding, lintPolicy } from "../policy/policy-lint.ts";
import { PolicyReplay, renderReplay } from "../policy/policy-replay.ts";
import type { Problem } from "../policy/yaml-reader.ts";
import { type CommandIo, EXIT_FAILED, EXIT_OK, EXIT_USAGE, UsageError } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";
import { linesOf, loadPolicy, readText, required } from "./policy-source.ts";

export const policyHelp: CommandHelp = {
  name: "policy",
  summary: "Check, test, replay and learn policies",
  example: "  querycop policy lint --strict policy.yaml",
  text: [
    "  policy lint FILE             Check that a policy loads and protects what it seems to",
    "  policy test CASES            Run the cases of a file against a policy",
    "  policy replay AUDIT          What the policy would have done to recorded traffic",
    "  policy learn AUDIT           Draft a profile per user from recorded traffic",
    "  policy import-digests DUMP   The same from a digest dump of mysql --batch",
    "FILE may be - for standard input, except for lint and test.",
  ].join("\n"),
  options: [
    ["--policy FILE", "Policy for test, replay and learn; default GATEKEEPER_POLICY_FILE, else the built-in one"],
    ["--strict", "lint: report doubtful settings too"],
    ["--user NAME", "import-digests: user of rows that name none"],
    ["--json", "Print JSON"],
  ],
  takesSettings: false,
};

export const policyArguments: ArgsDef = {
  verb: { type: "positional", required: true, valueHint: "lint|test|replay|learn|import-digests" },
  file: { type: "positional", required: true },
  policy: { type: "string" },
  user: { type: "string" },
  strict: { type: "boolean" },
  json: { type: "boolean" },
};

type Arguments = Readonly<Record<string, unknown>>;

const VERBS: Readonly<Record<string, (file: string, args: Arguments, io: CommandIo) => Promise<number>>> = {
  lint,
  test: testCases,
  replay,
  learn,
  "import-digests": importFrom,
};

export async function runPolicy(args: Arguments, io: CommandIo): Promise<number> {
  const verbs = Object.keys(VERBS).join(", ");
  const verb = VERBS[required(args["verb"], `one of ${verbs}`)];
  if (verb === undefined) throw new UsageError(`expected one of ${verbs}, got ${JSON.stringify(args["verb"])}`);
  return verb(required(args["file"], "a file"), args, io);
}

async function lint(file: string, args: Arguments, io: CommandIo): Promise<number> {
  const result = parsePolicy(readText(file));
  const isStrict = args["strict"] === true;
  const problems: readonly Problem[] = result.kind === "refused" ? result.problems : [];
  const findings: readonly LintFinding[] = result.kind === "loaded" ? lintPolicy(result.policy, Date.now()) : [];
  const reported = findings.filter(({ isStrictOnly }) => isStrict || !isStrictOnly);
  if (args["json"] === true) {
    io.stdout(`${JSON.stringify({ file, loads: result.kind === "loaded", problems, findings: reported }, null, 2)}\n`);
  } else if (problems.length + reported.length > 0) {
    io.stdout(`${renderProblems(file, [...problems, ...reported])}\n`);
  } else if (result.kind === "loaded") {
    io.stdout(`${file}: fine, ${result.policy.profiles.length} profiles, version ${result.policy.version}\n`);
  }
  if (problems.length > 0) return EXIT_USAGE;
  return reported.length > 0 ? EXIT_FAILED : EXIT_OK;
}

async function testCases(file: string, args: Arguments, io: CommandIo): Promise<number> {
  const { cases, problems } = parseCases(readText(file));
  if (problems.length > 0) {
    io.stderr(`${renderProblems(file, problems)}\n`);
    return EXIT_USAGE;
  }
  const results = runCases(cases, loadPolicy(args["policy"], io.env), Date.now());
  const failed = results.filter(({ failure }) => failure !== undefined);
  if (args["json"] === true) io.stdout(`${JSON.stringify(results.map(caseJson), null, 2)}\n`);
  else {
    for (const { policyCase, failure } of failed) {
      io.stdout(`${file}:${policyCase.line}: ${policyCase.name}: ${failure}\n`);
    }
    io.stdout(`${results.length - failed.length} passed, ${failed.length} failed\n`);
  }
  return failed.length > 0 ? EXIT_FAILED : EXIT_OK;
}

function caseJson({ policyCase, decision, failure }: CaseResult): unknown {
  return {
    name: policyCase.name,
    line: policyCase.line,
    passed: failure === undefined,
    ...(failure === undefined ? {} : { failure }),
    decision: decision.enforcedAction,
    score: decision.score,
    rules: decision.rules.map(({ id }) => id),
  };
}

async function replay(file: string, args: Arguments, io: CommandIo): Promise<number> {
  const run = new PolicyReplay(loadPolicy(args["policy"], io.env), Date.now());
  for await (const line of linesOf(file, io)) run.add(line);
  const report = run.report();
  if (args["json"] === true) io.stdout(`${JSON.stringify(report, null, 2)}\n`);
  else io.stdout(renderReplay(report));
  return report.newlyBlocked.length + report.newlyAllowed.length > 0 ? EXIT_FAILED : EXIT_OK;
}

async function learn(file: string, args: Arguments, io: CommandIo): Promise<number> {
  const learner = new PolicyLearner(loadPolicy(args["policy"], io.env), Date.now());
  for await (const line of linesOf(file, io)) learner.add(line);
  io.stdout(learner.render());
  return EXIT_OK;
}

async function importFrom(file: string, args: Arguments, io: CommandIo): Promise<number> {
  const learner = new PolicyLearner(DEFAULT_POLICY, Date.now());
  const user = typeof args["user"] === "string" ? args["user"] : "*";
  const lines: string[] = [];
  for await (const line of linesOf(file, io)) lines.push(line);
  const counts = importDigests(lines, learner, user);
  io.stdout(learner.render());
  io.stderr(
    `imported ${counts.imported}, truncated by the server ${counts.truncated}, unreadable ${counts.unreadable}\n`,
  );
  return counts.imported > 0 ? EXIT_OK : EXIT_FAILED;
}
