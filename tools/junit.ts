/** Counts tests in the JUnit reports of `bun test` and `deno test`; nothing else of the format is read. */

export interface TestTotals {
  passed: number;
  failed: number;
  skipped: number;
}

export interface TestReport extends TestTotals {
  /** The test files that reported at least one test, as the runner names them. */
  readonly files: ReadonlySet<string>;
  /** `file: name` of each test that did not run, so that nothing is skipped in silence. */
  readonly skippedNames: readonly string[];
  /** `file: name` of each test that failed, and the first lines of what it said. */
  readonly failures: readonly string[];
  readonly failedFiles: ReadonlySet<string>;
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", "#10": "\n" };

function decoded(text: string): string {
  return text.replaceAll(/&([a-z]+|#10);/g, (whole, entity: string) => ENTITIES[entity] ?? whole);
}

function attribute(tag: string, name: string): string {
  return decoded(new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1] ?? "");
}

/** So much of an error is repeated at the end of a run: enough to know it, and few enough lines for many. */
const FAILURE_LINES = 14;
const FAILURE_LINE_LENGTH = 240;

/** What a failed test said, indented. An error without a text in its element has it in the attribute alone. */
function failureText(body: string): string {
  const [, tag = "", text = ""] = /(<(?:failure|error)\b[^>]*?)(?:\/>|>(.*?)<\/(?:failure|error)>)/s.exec(body) ?? [];
  return (decoded(text) || attribute(tag, "message"))
    .split("\n")
    .filter((line) => line.trim() !== "")
    .slice(0, FAILURE_LINES)
    .map((line) => `\n    ${line.slice(0, FAILURE_LINE_LENGTH)}`)
    .join("");
}

/** A report that is cut off or not JUnit at all counts no test, which `judgeRun` then takes for a failure. */
export function readReport(xml: string): TestReport {
  const totals: TestTotals = { passed: 0, failed: 0, skipped: 0 };
  const files = new Set<string>();
  const skippedNames: string[] = [];
  const failures: string[] = [];
  const failedFiles = new Set<string>();
  if (!xml.trimEnd().endsWith("</testsuites>")) return { ...totals, files, skippedNames, failures, failedFiles };
  // Text never holds a bare "<" in XML, so tags can be found by their brackets.
  for (const [, tag = "", body = ""] of xml.matchAll(/(<testcase\b[^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs)) {
    const file = (attribute(tag, "file") || attribute(tag, "classname")).replace(/^\.\//, "");
    files.add(file);
    const name = `${file}: ${attribute(tag, "name")}`;
    if (/<(failure|error)\b/.test(body)) {
      totals.failed++;
      failedFiles.add(file);
      failures.push(name + failureText(body));
    } else if (/<skipped\b/.test(body)) {
      totals.skipped++;
      skippedNames.push(name);
    } else totals.passed++;
  }
  return { ...totals, files, skippedNames, failures, failedFiles };
}

export interface RunJudgement {
  readonly totals: TestTotals;
  readonly skippedNames: readonly string[];
  readonly failures: readonly string[];
  /** What is wrong besides tests that failed. */
  readonly problems: readonly string[];
  readonly failedFiles: ReadonlySet<string>;
}

/**
 * What a run of `files` is worth. Whatever the report does not vouch for counts as a failure: a missing or empty
 * report, a file that reported no test, and a runner that ended badly although each of its tests passed. `namesFiles`
 * is false for Deno, which names the file in which test() was called and not the one that was run.
 */
export function judgeRun(
  files: readonly string[],
  xml: string | undefined,
  exitCode: number,
  namesFiles: boolean,
): RunJudgement {
  const report = readReport(xml ?? "");
  const silent = namesFiles ? files.filter((file) => !report.files.has(file)) : [];
  const problems = silent.map((file) => `${file} reported no test: it crashed, ended the runner or is empty`);
  if (files.length === 0) problems.push("there is no test file");
  // With Deno one file that cannot be loaded keeps all others from running.
  else if (report.files.size === 0) problems.splice(0, problems.length, "the runner reported no test at all");
  if (exitCode !== 0 && report.failed === 0 && problems.length === 0) {
    problems.push(`the runner ended with ${exitCode} although no test failed`);
  }
  return {
    totals: { passed: report.passed, failed: report.failed + problems.length, skipped: report.skipped },
    skippedNames: report.skippedNames,
    failures: report.failures,
    problems,
    failedFiles: report.failedFiles,
  };
}

/**
 * The files worth a second run by themselves: few of a run in which nothing else was wrong. A test that fails among all
 * the others and not alone is unsteady, which is said, and does not hide what the other thousands say; many at once are
 * no accident. None where one cannot be run by itself.
 */
export function worthASecondRun(run: RunJudgement, files: readonly string[], limit: number): readonly string[] {
  const failed = [...run.failedFiles];
  if (run.problems.length > 0 || failed.length === 0 || failed.length > limit) return [];
  return failed.every((file) => files.includes(file)) ? failed : [];
}
