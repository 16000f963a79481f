/** `querycop policy lint|test|replay|learn|import-digests|grants|show`: living with a policy. */

import type { ArgsDef } from "citty";
import { counted } from "../base/counted.ts";
import { parsePolicy, policyVersionOf, renderProblems } from "../policy/file/policy-file.ts";
import type { Problem } from "../policy/file/yaml-reader.ts";
import { DEFAULT_POLICY, type Policy } from "../policy/policy.ts";
import { renderGrants } from "../policy/tools/grants.ts";
import { type CaseResult, parseCases, runCases } from "../policy/tools/policy-cases.ts";
import { importDigests, PolicyLearner } from "../policy/tools/policy-learn.ts";
import { type LintFinding, lintPolicy } from "../policy/tools/policy-lint.ts";
import { PolicyReplay, renderReplay } from "../policy/tools/policy-replay.ts";
import { renderPostgresGrants } from "../policy/tools/postgres-grants.ts";
import { isOfPostgres, isToolEngine, TOOL_ENGINES, type ToolEngine } from "../policy/tools/tool-context.ts";
import { loadParser } from "../sql/postgres/parser/parser.ts";
import { UnsafeSqlError } from "../sql/postgres/writing/safe-sql.ts";
import { VERSION } from "../version.ts";
import { type CommandIo, EXIT_FAILED, EXIT_OK, EXIT_USAGE, UsageError } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";
import { auditLinesOf, linesOf, loadPolicy, readText, required } from "./policy-source.ts";

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
    "  policy grants [FILE]         The least privileges that each profile needs, as GRANTs to look at and run",
    "  policy show AUDIT            The policy file of an old decision, as the audit log has kept it",
    "FILE may be - for standard input, except for lint and test.",
  ].join("\n"),
  options: [
    ["--policy FILE", "Policy for test, replay and learn; default GATEKEEPER_POLICY_FILE, else the built-in one"],
    ["--strict", "lint: report doubtful settings too; learn: leave out what is warned of"],
    ["--user NAME", "import-digests: user of rows that name none"],
    ["--profile NAME", "grants: only this profile"],
    ["--schema NAME", "grants: the schema of profiles that name none; all of them if not given"],
    ["--max-digest-length N", "import-digests: the server's setting, 1024 if not given"],
    [
      "--engine NAME",
      "mysql (default), postgresql or dsql: of cases and records that tell none, and of what lint looks at",
    ],
    ["--policy-version V", "show: as a decision's record names it; the last one if not given"],
    ["--json", "Print JSON"],
  ],
  settings: "none",
};

export const policyArguments: ArgsDef = {
  verb: { type: "positional", required: true, valueHint: "lint|test|replay|learn|import-digests|grants|show" },
  file: { type: "positional", required: false },
  policy: { type: "string" },
  user: { type: "string" },
  profile: { type: "string" },
  schema: { type: "string" },
  "max-digest-length": { type: "string" },
  engine: { type: "string", valueHint: TOOL_ENGINES.join("|") },
  "policy-version": { type: "string" },
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
  grants,
  show,
};

export async function runPolicy(args: Arguments, io: CommandIo): Promise<number> {
  const verbs = Object.keys(VERBS).join(", ");
  const verb = VERBS[required(args["verb"], `one of ${verbs}`)];
  if (verb === undefined) throw new UsageError(`expected one of ${verbs}, got ${JSON.stringify(args["verb"])}`);
  if (verb === grants) return grants(typeof args["file"] === "string" ? args["file"] : "", args, io);
  return verb(required(args["file"], "a file"), args, io);
}

async function lint(file: string, args: Arguments, io: CommandIo): Promise<number> {
  const result = parsePolicy(readText(file));
  const isStrict = args["strict"] === true;
  const problems: readonly Problem[] = result.kind === "refused" ? result.problems : [];
  const findings: readonly LintFinding[] =
    result.kind === "loaded" ? lintPolicy(result.policy, Date.now(), engineOf(args)) : [];
  const reported = findings.filter(({ isStrictOnly }) => isStrict || !isStrictOnly);
  if (args["json"] === true) {
    io.stdout(`${JSON.stringify({ file, loads: result.kind === "loaded", problems, findings: reported }, null, 2)}\n`);
  } else if (problems.length + reported.length > 0) {
    io.stdout(`${renderProblems(file, [...problems, ...reported])}\n`);
  } else if (result.kind === "loaded") {
    io.stdout(
      `${file}: fine, ${counted(result.policy.profiles.length, "profile")}, version ${result.policy.version}\n`,
    );
  }
  if (problems.length > 0) return EXIT_USAGE;
  return reported.length > 0 ? EXIT_FAILED : EXIT_OK;
}

async function testCases(file: string, args: Arguments, io: CommandIo): Promise<number> {
  const { cases, problems } = parseCases(readText(file), engineOf(args));
  if (problems.length > 0) {
    io.stderr(`${renderProblems(file, problems)}\n`);
    return EXIT_USAGE;
  }
  if (cases.some(({ session }) => isOfPostgres(session))) await loadParser();
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
  const run = new PolicyReplay({
    policy: loadPolicy(args["policy"], io.env),
    wallMs: Date.now(),
    version: VERSION.version,
    engine: engineOf(args),
  });
  for await (const line of judgedLinesOf(file, args, io)) run.add(line);
  const report = run.report();
  if (args["json"] === true) io.stdout(`${JSON.stringify(report, null, 2)}\n`);
  else io.stdout(renderReplay(report));
  return report.newlyBlocked.length + report.newlyAllowed.length > 0 ? EXIT_FAILED : EXIT_OK;
}

/** Of the records that say which policy took effect, the last one of the version. */
async function show(file: string, args: Arguments, io: CommandIo): Promise<number> {
  const wanted = args["policy-version"];
  let found: { readonly version: string; readonly text: unknown } | undefined;
  for await (const line of linesOf(file, io)) {
    if (!line.includes('"policy-change"')) continue;
    const { type, outcome, toVersion, policyText } = recordOf(line);
    if (type !== "policy-change" || outcome !== "ok" || typeof toVersion !== "string") continue;
    if (wanted === undefined || toVersion === wanted) found = { version: toVersion, text: policyText };
  }
  const refuse = (why: string): number => {
    io.stderr(`${why}\n`);
    return EXIT_FAILED;
  };
  if (found === undefined)
    return refuse(`${file}: no policy ${typeof wanted === "string" ? wanted : ""} took effect in it`);
  const { version, text } = found;
  if (typeof text !== "string") return refuse(`${version}: was built in, or its text was not kept`);
  if (policyVersionOf(text) !== version)
    return refuse(`${version}: was too long for the record, which has its beginning`);
  io.stdout(text);
  return EXIT_OK;
}

function recordOf(line: string): Arguments {
  try {
    const record: unknown = JSON.parse(line);
    return typeof record === "object" && record !== null ? (record as Arguments) : {};
  } catch {
    return {};
  }
}

async function learn(file: string, args: Arguments, io: CommandIo): Promise<number> {
  const learner = newLearner(loadPolicy(args["policy"], io.env), args);
  for await (const line of judgedLinesOf(file, args, io)) learner.add(line);
  io.stdout(learner.render());
  const { listed, leftOut, withoutText, unreadable } = learner.counts();
  io.stderr(
    `learned ${counted(listed, "shape")}, left out ${leftOut} (comments of the draft say why); ` +
      `${counted(withoutText, "statement")} without text, ${counted(unreadable, "unreadable line")}\n`,
  );
  return EXIT_OK;
}

async function importFrom(file: string, args: Arguments, io: CommandIo): Promise<number> {
  if (isOfPostgres({ dialect: engineOf(args) })) {
    throw new UsageError(
      "--engine: PostgreSQL's servers keep no digests that querycop's can be compared with; learn from the audit instead",
    );
  }
  const learner = newLearner(DEFAULT_POLICY, args);
  const defaultUser = typeof args["user"] === "string" ? args["user"] : "*";
  const lines: string[] = [];
  for await (const line of linesOf(file, io)) lines.push(line);
  const counts = importDigests(lines, learner, { defaultUser, digestLengthMax: digestLengthOf(args) });
  io.stdout(learner.render());
  io.stderr(
    `imported ${counts.imported}, left out ${counted(learner.counts().leftOut, "shape")} (comments of the draft say why); ` +
      `truncated by the server ${counts.truncated}, unreadable ${counts.unreadable}\n`,
  );
  return counts.imported > 0 ? EXIT_OK : EXIT_FAILED;
}

async function grants(file: string, args: Arguments, io: CommandIo): Promise<number> {
  const textOf = (key: string): string | undefined => (typeof args[key] === "string" ? args[key] : undefined);
  const policy = loadPolicy(file === "" ? args["policy"] : file, io.env);
  try {
    const isPostgres = isOfPostgres({ dialect: engineOf(args) });
    if (isPostgres) await loadParser();
    const render = isPostgres ? renderPostgresGrants : renderGrants;
    io.stdout(render(policy, { profile: textOf("profile"), schema: textOf("schema") }));
  } catch (thrown) {
    if (thrown instanceof RangeError) throw new UsageError(`--profile: ${thrown.message}`);
    if (thrown instanceof UnsafeSqlError) throw new UsageError(`policy: ${thrown.message}`);
    throw thrown;
  }
  return EXIT_OK;
}

function newLearner(policy: Policy, args: Arguments): PolicyLearner {
  return new PolicyLearner({ policy, wallMs: Date.now(), isStrict: args["strict"] === true, engine: engineOf(args) });
}

function engineOf({ engine }: Arguments): ToolEngine | undefined {
  if (engine === undefined || isToolEngine(engine)) return engine;
  throw new UsageError(`--engine: expected ${TOOL_ENGINES.join(", ")}, got ${JSON.stringify(engine)}`);
}

/** Lines of an audit log, with PostgreSQL's parser ready before the first of its records. */
async function* judgedLinesOf(file: string, args: Arguments, io: CommandIo): AsyncGenerator<string> {
  let isReady = false;
  const isNamed = isOfPostgres({ dialect: engineOf(args) });
  for await (const line of auditLinesOf(file, io)) {
    if (!isReady && (isNamed || OF_POSTGRES.test(line))) {
      await loadParser();
      isReady = true;
    }
    yield line;
  }
}

const OF_POSTGRES = /"(?:postgresql|dsql)"/;

/** What servers have when nobody sets it. */
const DIGEST_LENGTH_DEFAULT = 1024;

function digestLengthOf(args: Arguments): number {
  const given = args["max-digest-length"];
  if (given === undefined) return DIGEST_LENGTH_DEFAULT;
  const length = typeof given === "string" && /^\d{1,8}$/.test(given) ? Number(given) : 0;
  if (length > 0) return length;
  throw new UsageError(`--max-digest-length: expected the server's number of bytes, got ${JSON.stringify(given)}`);
}
