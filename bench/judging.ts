/**
 * What judging costs in this tree beside another, as of an earlier commit, with its node_modules:
 *
 *   bun bench/judging.ts [--beside <other tree>] [--dialect mysql|mariadb|postgresql] [--rounds <number>] [--runs <number>]
 *
 * Each tree's judge runs in a process of its own, and they take turns, round by round; how well an engine compiles differs
 * from process to process, so that several of each have their runs one after the other. A figure is processor time per
 * text, the least of the rounds and their median; a ratio that of the least, and the median of pairs of rounds. "new" judges
 * every text anew; "seen" remembers verdicts and is asked for shapes it knows with numbers it does not.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { TIMED_TEXTS } from "./judged-texts.ts";

const DIALECTS = ["mysql", "mariadb", "postgresql"] as const;
const FORMS = ["new", "seen"] as const;

type Dialect = (typeof DIALECTS)[number];
type Form = (typeof FORMS)[number];

/** One row of the table. */
interface Cell {
  readonly form: Form;
  /** Of TIMED_TEXTS. */
  readonly text: number;
}

/** What both trees have in common, wherever their files are. */
interface AnyJudge {
  judge(sql: Uint8Array, context: unknown, subject: unknown): unknown;
}

interface AnyTree {
  readonly judgeWith: (cacheBytesMax: number) => AnyJudge;
  readonly contextOf: (dialect: Dialect) => unknown;
  readonly subject: unknown;
}

const CACHE_BYTES = 64 << 20;
const VARIANTS = 64;
/** Long enough for the clock of processor time, short enough to fall between two collections of garbage. */
const ROUND_US = 2_000;
/** Each text is judged for so long before anything is measured, in turns: the engine compiles what it has seen them all do. */
const WARM_US = 700_000;
const WARM_TURNS = 2;

/** The judge of a tree: since 2026-09 it is told its engines, before it knew MySQL's alone. */
async function load(tree: string): Promise<AnyTree> {
  const from = (path: string) => import(join(tree, "src", path));
  const { Judge } = await from("policy/judge.ts");
  const { SYSTEM_CLOCK } = await from("base/clock.ts");
  const { DEFAULT_POLICY } = await from("policy/policy.ts");
  const hasEngines = existsSync(join(tree, "src/policy/mysql/mysql-engine.ts"));
  const tools = await from(hasEngines ? "policy/tools/tool-context.ts" : "policy/tool-context.ts");
  const engines = hasEngines ? await enginesOf(from) : {};
  const options = { engines, policy: DEFAULT_POLICY, clock: SYSTEM_CLOCK, idPrefix: "b" };
  return {
    judgeWith: (cacheBytesMax) => new Judge({ ...options, cacheBytesMax }),
    contextOf: (dialect) => (dialect === "postgresql" ? POSTGRES_CONTEXT : tools.contextFor({ dialect })),
    subject: tools.subjectFor({}),
  };
}

async function enginesOf(from: (path: string) => Promise<Record<string, unknown>>): Promise<unknown> {
  const { MYSQL_ENGINE: mysql } = await from("policy/mysql/mysql-engine.ts");
  const { POSTGRES_ENGINE: postgresql } = await from("policy/postgres/postgres-engine.ts");
  const { loadParser } = await from("sql/postgres/parser/parser.ts");
  await (loadParser as () => Promise<void>)();
  return { mysql, postgresql };
}

const POSTGRES_CONTEXT = {
  engine: "postgresql",
  schema: undefined,
  serverVersion: undefined,
  isDsql: false,
  clientEncoding: "UTF8",
  standardConformingStrings: "on",
  searchPath: "unknown",
};

/** The text with its first number changed, as an application sends it again. */
function variantsOf(sql: string, dialect: Dialect): Uint8Array[] {
  // PostgreSQL has no hexadecimal strings of that form.
  const own = dialect === "postgresql" ? sql.replaceAll("0x7171", "'qq'") : sql;
  return Array.from({ length: VARIANTS }, (_, index) =>
    new TextEncoder().encode(own.replace(/\b(4711|7|0|3|1)\b/, String(1000 + index))),
  );
}

const cellName = ({ form, text }: Cell): string => `${TIMED_TEXTS[text]?.name}, ${form}`;

function processorUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

const CELLS: readonly Cell[] = FORMS.flatMap((form) => TIMED_TEXTS.map((_, text) => ({ form, text })));

/** The process of one tree: a cell's number in, microseconds per text out. */
async function serve(tree: string, dialect: Dialect): Promise<void> {
  const { judgeWith, contextOf, subject } = await load(tree);
  const judges = { new: judgeWith(0), seen: judgeWith(CACHE_BYTES) };
  const context = contextOf(dialect);
  const cells = CELLS.map(({ form, text }) => {
    const variants = variantsOf(TIMED_TEXTS[text]?.sql ?? "", dialect);
    const run = (count: number): number => {
      const started = processorUs();
      for (let index = 0; index < count; index++) {
        judges[form].judge(variants[index % VARIANTS] as Uint8Array, context, subject);
      }
      return (processorUs() - started) / count;
    };
    return { run, count: 0 };
  });
  for (let turn = 0; turn < WARM_TURNS; turn++) {
    for (const cell of cells) {
      const from = processorUs();
      while (processorUs() - from < WARM_US) cell.run(50);
      cell.count = Math.max(1, Math.round(ROUND_US / cell.run(200)));
    }
  }
  process.on("message", (index: number) => {
    const { run, count } = cells[index] as (typeof cells)[number];
    process.send?.(run(count));
  });
  process.send?.("ready");
}

interface Tree {
  ask(cell: number): Promise<number>;
  end(): void;
}

async function start(tree: string, dialect: Dialect): Promise<Tree> {
  const child: ChildProcess = spawn(process.execPath, [import.meta.filename, "--serve", tree, "--dialect", dialect], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const answer = () =>
    new Promise<unknown>((found, failed) => {
      const onExit = () => failed(new Error(`The judge of ${tree} has ended`));
      child.once("exit", onExit);
      child.once("message", (message) => {
        child.off("exit", onExit);
        found(message);
      });
    });
  await answer();
  return {
    ask: async (cell) => {
      const answered = answer();
      child.send(cell);
      return Number(await answered);
    },
    end: () => child.disconnect(),
  };
}

interface Figure {
  readonly least: number;
  readonly median: number;
}

function figureOf(rounds: readonly number[]): Figure {
  const sorted = rounds.toSorted((left, right) => left - right);
  return { least: sorted[0] as number, median: sorted[sorted.length >> 1] as number };
}

/** Of rounds that followed each other at once: what slows a busy machine down slows both of a pair. */
function pairedRatio(here: readonly number[], other: readonly number[]): number {
  return figureOf(here.map((us, round) => us / (other[round] as number))).median;
}

interface Extent {
  readonly runs: number;
  readonly rounds: number;
}

async function compare(paths: readonly string[], dialect: Dialect, { runs, rounds }: Extent): Promise<void> {
  const taken = CELLS.map(() => paths.map((): number[] => []));
  for (let run = 0; run < runs; run++) {
    const trees = await Promise.all(paths.map((path) => start(path, dialect)));
    for (let round = 0; round < rounds; round++) {
      for (const [index, ofTrees] of taken.entries()) {
        for (const [at, tree] of trees.entries()) ofTrees[at]?.push(await tree.ask(index));
      }
    }
    for (const tree of trees) tree.end();
  }
  const heads = ["here", "(median)", ...(paths.length > 1 ? ["other", "(median)", "ratio", "(pairs)"] : [])];
  console.log(`${`microseconds, ${dialect}`.padEnd(28)}${heads.map((head) => head.padStart(10)).join("")}`);
  for (const [index, cell] of CELLS.entries()) {
    const ofTrees = taken[index] ?? [];
    const figures = ofTrees.map(figureOf);
    const [here, other] = figures as [Figure, Figure?];
    const ratios =
      other === undefined ? [] : [here.least / other.least, pairedRatio(ofTrees[0] ?? [], ofTrees[1] ?? [])];
    const told = [...figures.flatMap(({ least, median }) => [least, median]), ...ratios];
    console.log(`${cellName(cell).padEnd(28)}${told.map((figure) => figure.toFixed(2).padStart(10)).join("")}`);
  }
}

const { values } = parseArgs({
  options: {
    beside: { type: "string" },
    dialect: { type: "string", default: "mysql" },
    rounds: { type: "string", default: "50" },
    runs: { type: "string", default: "3" },
    serve: { type: "string" },
  },
});
const dialect = DIALECTS.find((name) => name === values.dialect);
if (dialect === undefined) throw new Error(`Cannot judge ${values.dialect}: choose ${DIALECTS.join(", ")}`);
if (values.serve === undefined) {
  const here = resolve(import.meta.dirname, "..");
  const paths = values.beside === undefined ? [here] : [here, resolve(values.beside)];
  await compare(paths, dialect, { runs: Number(values.runs), rounds: Number(values.rounds) });
} else {
  await serve(values.serve, dialect);
}
