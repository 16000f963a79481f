/**
 * Runs every test of the project, names again at the end what failed, and prints `N passed, N failed` as its last line.
 * At most three files that failed are run once more by themselves: what then passes is named UNSTEADY at the end.
 *
 *   npm test                        everything
 *   npm test -- unit e2e            only these phases
 *   npm test -- unit test/mysql     only the files below a path
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { judgeRun, type RunJudgement, type TestTotals, worthASecondRun } from "./junit.ts";

const PROJECT = fileURLToPath(new URL("..", import.meta.url));
const BUN = process.execPath;
const DENO = join(PROJECT, "node_modules/.bin/deno");

interface Phase {
  readonly name: string;
  readonly title: string;
  readonly command: string;
  readonly args: (files: readonly string[], report: string) => readonly string[];
  readonly includes: (file: string) => boolean;
  readonly needsBinary: boolean;
  /** How many processes at once the files are dealt out to. */
  readonly processes: number;
  readonly timeoutMs: number;
}

const MINUTE_MS = 60_000;
/** These need the compiled binary, or run this machine's programs rather than our source: once is enough. */
const BINARY_FOLDERS = ["test/build/", "test/install/"];

const isEndToEnd = (file: string): boolean => file.startsWith("test/e2e/");
const isBinary = (file: string): boolean => BINARY_FOLDERS.some((folder) => file.startsWith(folder));
const isUnit = (file: string): boolean => !isEndToEnd(file) && !isBinary(file);

// --parallel gives every file a process of its own: a file that ends the runner cannot take the others along.
function bunArgs(workers: number, testTimeoutMs: number): Phase["args"] {
  return (files, report) => [
    "test",
    `--parallel=${workers}`,
    `--timeout=${testTimeoutMs}`,
    "--reporter=junit",
    `--reporter-outfile=${report}`,
    ...files.map((file) => `./${file}`),
  ];
}

const PHASES: readonly Phase[] = [
  {
    name: "unit",
    title: "unit tests on Bun",
    command: BUN,
    args: bunArgs(2, MINUTE_MS),
    includes: isUnit,
    needsBinary: false,
    processes: 1,
    timeoutMs: 15 * MINUTE_MS,
  },
  {
    // Not --parallel: that runs files in threads of one process, and a test that looks at its own memory or processor
    // time would see that of the others.
    name: "deno",
    title: "unit tests on Deno",
    command: DENO,
    args: (files, report) => [
      "test",
      "--allow-all",
      "--no-check",
      `--junit-path=${report}`,
      ...files.map((file) => `./${file}`),
    ],
    includes: isUnit,
    needsBinary: false,
    processes: 2,
    timeoutMs: 20 * MINUTE_MS,
  },
  {
    name: "binary",
    title: "the executable and its installer",
    command: BUN,
    args: bunArgs(2, 3 * MINUTE_MS),
    includes: isBinary,
    needsBinary: true,
    processes: 1,
    timeoutMs: 20 * MINUTE_MS,
  },
  {
    name: "e2e",
    title: "the executable between real clients and real servers",
    command: BUN,
    args: bunArgs(1, 5 * MINUTE_MS),
    includes: isEndToEnd,
    needsBinary: true,
    processes: 1,
    timeoutMs: 55 * MINUTE_MS,
  },
];

/** Runs a program to its end with its output shown; past `timeoutMs` it is ended and counts as failed. */
function runShown(command: string, args: readonly string[], timeoutMs: number): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, [...args], {
      cwd: PROJECT,
      stdio: ["ignore", "inherit", "inherit"],
      env: process.stdout.isTTY ? process.env : { ...process.env, NO_COLOR: "1" },
      detached: true,
    });
    const end = (signal: NodeJS.Signals): void => {
      // The whole process group: a hung test may have children of its own.
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    };
    const timer = setTimeout(() => {
      console.error(`${command} ran longer than ${timeoutMs / MINUTE_MS} minutes and is ended`);
      end("SIGKILL");
    }, timeoutMs);
    const forward = (signal: NodeJS.Signals): void => end(signal);
    process.on("SIGINT", forward).on("SIGTERM", forward);
    const settle = (code: number): void => {
      clearTimeout(timer);
      process.off("SIGINT", forward).off("SIGTERM", forward);
      resolve(code);
    };
    child.once("error", (error) => {
      console.error(`Cannot run ${command}: ${error.message}`);
      settle(127);
    });
    child.once("exit", (code) => settle(code ?? 128));
  });
}

function testFiles(): string[] {
  return readdirSync(join(PROJECT, "test"), { recursive: true, encoding: "utf8" })
    .map((file) => `test/${file}`)
    .filter((file) => file.endsWith(".test.ts"))
    .sort();
}

/**
 * What failed, to be said at the end: of a run of an hour often the last screen alone is kept. Of a broken tree the first
 * ones tell enough.
 */
const saidAtEnd: string[] = [];
const FAILURES_SHOWN = 25;
/** So many files of a whole run may fail among the others and pass by themselves. */
let secondRunsLeft = 3;

async function runPhase(phase: Phase, files: readonly string[]): Promise<TestTotals> {
  console.log(`\n=== ${phase.title}: ${files.length} files`);
  if (files.length === 0) return { passed: 0, failed: 1, skipped: 0 };
  const hands = Array.from({ length: phase.processes }, (_, hand) =>
    files.filter((_file, index) => index % phase.processes === hand),
  );
  const totals = await Promise.all(hands.filter((hand) => hand.length > 0).map((hand) => runFiles(phase, hand)));
  return totals.reduce((sum, { passed, failed, skipped }) => ({
    passed: sum.passed + passed,
    failed: sum.failed + failed,
    skipped: sum.skipped + skipped,
  }));
}

/** Failed files, if they are few, are run again by themselves. What then passes is counted so, and named UNSTEADY. */
async function runFiles(phase: Phase, files: readonly string[]): Promise<TestTotals> {
  const run = await runOnce(phase, files);
  const again = worthASecondRun(run, files, secondRunsLeft);
  const { passed, failed, skipped } = run.totals;
  if (again.length > 0) {
    secondRunsLeft -= again.length;
    console.log(`\n=== ${phase.title}: once more by themselves: ${again.join(" ")}`);
    if ((await runOnce(phase, again)).totals.failed === 0) {
      saidAtEnd.push(...run.failures.map((failure) => `UNSTEADY, ${phase.title}, passed when run alone: ${failure}`));
      return { passed: passed + failed, failed: 0, skipped };
    }
  }
  saidAtEnd.push(...[...run.problems, ...run.failures].map((failure) => `FAILED, ${phase.title}: ${failure}`));
  return run.totals;
}

async function runOnce(phase: Phase, files: readonly string[]): Promise<RunJudgement> {
  const folder = mkdtempSync(join(tmpdir(), "querycop-test-"));
  try {
    const report = join(folder, "report.xml");
    const exitCode = await runShown(phase.command, phase.args(files, report), phase.timeoutMs);
    const xml = existsSync(report) ? readFileSync(report, "utf8") : undefined;
    const run = judgeRun(files, xml, exitCode, phase.command === BUN);
    for (const name of run.skippedNames) console.log(`skipped: ${name}`);
    return run;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

class Tally {
  readonly total: TestTotals = { passed: 0, failed: 0, skipped: 0 };
  readonly #lines: string[] = [];

  async add(title: string, work: () => Promise<TestTotals>): Promise<void> {
    const startedMs = Date.now();
    const { passed, failed, skipped } = await work();
    this.total.passed += passed;
    this.total.failed += failed;
    this.total.skipped += skipped;
    const seconds = Math.round((Date.now() - startedMs) / 1000);
    this.#lines.push(`${title}: ${passed} passed, ${failed} failed, ${skipped} skipped in ${seconds} s`);
  }

  /** The last line has the form that continuous integration reads. */
  render(): string {
    const { passed, failed, skipped } = this.total;
    const skippedPart = skipped > 0 ? `, ${skipped} skipped` : "";
    const more = saidAtEnd.length > FAILURES_SHOWN ? [`... and ${saidAtEnd.length - FAILURES_SHOWN} more`] : [];
    const failures = [...saidAtEnd.slice(0, FAILURES_SHOWN), ...more].map((line) => `\n${line}`).join("");
    return `${failures}\n${this.#lines.join("\n")}\n\n${passed} passed, ${failed} failed${skippedPart}`;
  }
}

async function build(): Promise<TestTotals> {
  console.log("\n=== the executable is built");
  const exitCode = await runShown(BUN, ["build.ts"], 5 * MINUTE_MS);
  return { passed: 0, failed: exitCode === 0 ? 0 : 1, skipped: 0 };
}

async function main(args: readonly string[]): Promise<number> {
  const named = PHASES.filter((phase) => args.includes(phase.name));
  const paths = args
    .filter((arg) => !named.some((phase) => phase.name === arg))
    .map((path) => path.replace(/^\.\//, ""));
  const files = testFiles().filter((file) => paths.length === 0 || paths.some((path) => file.startsWith(path)));
  // A phase without files is left out only when paths were asked for; in a whole run it is a failure.
  const phases = (named.length > 0 ? named : PHASES).filter(
    (phase) => paths.length === 0 || files.some(phase.includes),
  );

  const tally = new Tally();
  if (phases.some((phase) => phase.needsBinary)) await tally.add("build", build);
  for (const phase of phases) await tally.add(phase.title, () => runPhase(phase, files.filter(phase.includes)));
  console.log(tally.render());
  return tally.total.failed === 0 && tally.total.passed > 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
